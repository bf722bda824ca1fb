//! Names and texts. All are invented, and addresses end in a domain reserved for examples.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const FIRST_NAMES: &[&str] = &[
    "Ada", "Amara", "Anton", "Aylin", "Bela", "Carla", "Chidi", "Dana", "Emil", "Esra", "Farid", "Fiona",
    "Goran", "Hanna", "Ines", "Ivo", "Jamal", "Jana", "Kai", "Keiko", "Lars", "Leila", "Malik", "Mira",
    "Nadia", "Noah", "Olga", "Otis", "Paula", "Priya", "Quinn", "Rosa", "Ruben", "Sana", "Sven", "Tara",
    "Theo", "Uma", "Vera", "Yusuf",
];
const LAST_NAMES: &[&str] = &[
    "Abreu", "Adeyemi", "Albers", "Bakker", "Berger", "Castillo", "Chen", "Costa", "Dahl", "Diallo", "Evans",
    "Fischer", "Garcia", "Haddad", "Hansen", "Ito", "Jensen", "Kaya", "Keller", "Kowalski", "Lind", "Lopez",
    "Marino", "Mbeki", "Meyer", "Nakamura", "Nowak", "Okafor", "Olsen", "Patel", "Rossi", "Sato", "Silva",
    "Singh", "Torres", "Varga", "Weber", "Wolf", "Yilmaz", "Zhang",
];
const BRANDS: &[&str] = &[
    "Alder", "Basalt", "Cobalt", "Delta", "Ember", "Fjord", "Garnet", "Harbor", "Indigo", "Juniper",
    "Kestrel", "Lumen", "Meadow", "Nimbus", "Orchard", "Pebble", "Quarry", "Ripple", "Sable", "Tundra",
];
const TRADES: &[&str] = &[
    "Bakery", "Books", "Coffee", "Cycles", "Design", "Energy", "Foods", "Gardens", "Hotels", "Labs", "Music",
    "Outdoor", "Pottery", "Roasters", "Studio", "Travel",
];
const TOPICS: &[&str] = &[
    "Spring collection",
    "Opening hours",
    "Meet the team",
    "Behind the scenes",
    "New arrivals",
    "Customer story",
    "Weekend offer",
    "Workshop dates",
    "Product care",
    "Anniversary",
    "Season finale",
    "Recipe of the week",
];
const REMARKS: &[&str] = &[
    "Shorter, please.",
    "The second sentence carries it.",
    "Can we show the product earlier?",
    "Good as it is.",
    "The date is wrong.",
    "Legal wants the full name here.",
    "Warmer tone, same facts.",
    "Great picture!",
];
const COMPLAINTS: &[&str] = &[
    "The list jumps to the top after every edit.",
    "The schedule shows the wrong time zone.",
    "A comment appeared twice.",
    "The preview cuts the last line.",
];
const WISHES: &[&str] = &[
    "Could drafts be copied?",
    "How do I change the order of workspaces?",
    "A calendar view would help.",
    "Thank you for the dark theme.",
];

fn pick<'a>(rng: &mut impl Rng, words: &[&'a str]) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}

pub(super) fn name(rng: &mut impl Rng) -> String {
    format!("{} {}", pick(rng, FIRST_NAMES), pick(rng, LAST_NAMES))
}

/// Returns an address that is unique among all runs.
pub(super) fn email(name: &str, tag: &str) -> String {
    format!("{}.{tag}@people.example", name.to_ascii_lowercase().replace(' ', "."))
}

/// Returns a password that is long enough.
pub(super) fn password(rng: &mut impl Rng) -> String {
    let words = [pick(rng, BRANDS), pick(rng, TRADES), pick(rng, BRANDS)];
    format!("{} {}", words.join(" "), rng.random_range(1_000..10_000))
}

/// Returns the password with a typing error.
pub(super) fn mistyped(password: &str) -> String {
    let mut characters: Vec<char> = password.chars().collect();
    if let [.., before_last, last] = &mut characters[..] {
        (*before_last, *last) = (*last, 'o');
    }
    characters.into_iter().collect()
}

/// Returns a customer's name.
pub(super) fn organization(rng: &mut impl Rng) -> String {
    format!("{} {}", pick(rng, BRANDS), pick(rng, TRADES))
}

/// Returns a brand's name.
pub(super) fn workspace(rng: &mut impl Rng) -> String {
    pick(rng, BRANDS).to_owned()
}

pub(super) fn title(rng: &mut impl Rng) -> String {
    format!("{} {}", pick(rng, TOPICS), rng.random_range(1..100))
}

pub(super) fn post(rng: &mut impl Rng) -> String {
    let sentences: Vec<String> = (0..rng.random_range(1..5))
        .map(|_| format!("{}: {} {}.", pick(rng, TOPICS), pick(rng, BRANDS), pick(rng, TRADES)))
        .collect();
    sentences.join(" ")
}

/// Returns a comment on a post.
pub(super) fn remark(rng: &mut impl Rng) -> &'static str {
    pick(rng, REMARKS)
}

/// Returns the text of a bug report.
pub(super) fn complaint(rng: &mut impl Rng) -> &'static str {
    pick(rng, COMPLAINTS)
}

/// Returns a suggestion or a question.
pub(super) fn wish(rng: &mut impl Rng) -> &'static str {
    pick(rng, WISHES)
}

/// Returns bytes that begin like an image. Most are small, so that a long run does not fill the
/// disk.
pub(super) fn picture(rng: &mut impl Rng) -> Vec<u8> {
    let is_large = rng.random_ratio(1, 40);
    let size = if is_large { 1_500_000 } else { rng.random_range(1_000..20_000) };
    let mut picture = vec![0; size];
    rng.fill(&mut picture[..]);
    picture[..PNG_SIGNATURE.len()].copy_from_slice(PNG_SIGNATURE);
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn a_mistyped_password_is_another_one_of_the_same_length() {
        for seed in 0..100 {
            let password = password(&mut StdRng::seed_from_u64(seed));
            let mistyped = mistyped(&password);
            assert_ne!(password, mistyped);
            assert_eq!(password.len(), mistyped.len());
        }
    }
}
