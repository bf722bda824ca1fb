//! Colors as classes of the style sheet, so that both themes have their own.

use monitoring::grafana::Color;

/// Number of colors of series.
const PALETTE: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColorClass(pub &'static str);

impl From<Color> for ColorClass {
    fn from(color: Color) -> Self {
        Self(match color {
            Color::Green => "k-green",
            Color::Yellow => "k-yellow",
            Color::Orange => "k-orange",
            Color::Red => "k-red",
            Color::Blue => "k-blue",
            Color::Purple => "k-purple",
            Color::Neutral => "k-neutral",
        })
    }
}

const CLASSES: [&str; PALETTE] = ["k-0", "k-1", "k-2", "k-3", "k-4", "k-5", "k-6", "k-7", "k-8", "k-9"];

/// Chooses colors of series by their names, so that the same name has the same color in most charts. Two
/// series of one chart share a color only if there are more of them than colors.
#[derive(Debug, Default)]
pub struct Palette {
    used: [bool; PALETTE],
}

impl Palette {
    /// Returns the color of the series with this name.
    pub fn color(&mut self, name: &str) -> ColorClass {
        let wish =
            name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        let wish = wish % PALETTE;
        let free = (0..PALETTE).map(|distance| (wish + distance) % PALETTE).find(|index| !self.used[*index]);
        let index = free.unwrap_or(wish);
        self.used[index] = true;
        ColorClass(CLASSES[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_chart_have_different_colors() {
        let mut palette = Palette::default();
        let mut colors: Vec<&str> = (0..10).map(|index| palette.color(&format!("p{index}")).0).collect();
        colors.sort_unstable();
        colors.dedup();
        assert_eq!(colors.len(), 10);
        assert_eq!(palette.color("x"), Palette::default().color("x"));
    }
}
