//! Splits a file, read in chunks, into lines.

/// Maximum length of a line in bytes.
pub(super) const LONGEST_LINE: usize = 256 << 10;

/// Splits chunks of a file into lines. Buffers an incomplete line until its end has been read.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    partial: Vec<u8>,
    /// If true, the line is too long and its rest is skipped.
    is_skipping: bool,
}

/// A line, or the fact that it was too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    Line(&'a [u8]),
    TooLong,
}

impl Cutter {
    /// Returns the number of buffered bytes.
    pub(super) fn pending(&self) -> usize {
        self.partial.len()
    }

    /// Drops the last bytes of the buffered line, because the writer removed them.
    pub(super) fn take_back(&mut self, bytes: usize) {
        self.partial.truncate(self.partial.len().saturating_sub(bytes));
    }

    /// Adds a chunk and passes the lines that it completes to `each`. Skips empty lines.
    pub(super) fn add(&mut self, mut piece: &[u8], mut each: impl FnMut(Cut<'_>)) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&piece[..end], &piece[end + 1..]);
            piece = rest;
            if self.is_skipping {
                self.is_skipping = false;
            } else if self.partial.len() + line.len() > LONGEST_LINE {
                each(Cut::TooLong);
            } else if !self.partial.is_empty() {
                self.partial.extend_from_slice(line);
                each(Cut::Line(&self.partial));
            } else if !line.is_empty() {
                each(Cut::Line(line));
            }
            self.partial.clear();
        }
        if self.is_skipping {
            return;
        }
        if self.partial.len() + piece.len() > LONGEST_LINE {
            each(Cut::TooLong);
            self.is_skipping = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(cutter: &mut Cutter, pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        for piece in pieces {
            cutter.add(piece, |cut| {
                lines.push(match cut {
                    Cut::Line(line) => Some(line.to_vec()),
                    Cut::TooLong => None,
                });
            });
        }
        lines
    }

    #[test]
    fn a_line_that_is_too_long_is_reported_once_and_skipped() {
        let long = vec![b'x'; LONGEST_LINE];
        let mut cutter = Cutter::default();
        let lines = cut(&mut cutter, &[b"a\n", &long, b"y", &long, b"\nb\n"]);
        assert_eq!(lines, [Some(b"a".to_vec()), None, Some(b"b".to_vec())]);
        let lines = cut(&mut cutter, &[&long, b"\n", &long[..5], &long, b"\n", b"c\n"]);
        assert_eq!(lines, [Some(long.clone()), None, Some(b"c".to_vec())]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces(
            text in "[ab\n]{0,40}",
            sizes in prop::collection::vec(1_usize..5, 0..40),
        ) {
            let mut pieces = Vec::new();
            let mut rest = text.as_bytes();
            for size in sizes {
                let (piece, others) = rest.split_at(size.min(rest.len()));
                pieces.push(piece);
                rest = others;
            }
            pieces.push(rest);
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let lines = whole.split('\n').filter(|line| !line.is_empty());
            let expected: Vec<_> = lines.map(|line| Some(line.as_bytes().to_vec())).collect();
            prop_assert_eq!(cut(&mut Cutter::default(), &pieces), expected);
        }
    }
}
