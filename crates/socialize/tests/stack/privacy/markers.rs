//! Unique texts, and the search for them.

use std::sync::Mutex;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use uuid::Uuid;

/// Length of the context of a hit.
const AROUND: usize = 80;

/// Creates markers. All markers of a run begin with the same random text, so one search finds any of them,
/// even if truncated. The rest identifies the place of a marker.
pub(crate) struct Markers {
    run: String,
    places: Mutex<Vec<String>>,
}

impl Markers {
    pub(crate) fn new() -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Self { run: format!("qz{}", &random[..12]), places: Mutex::default() }
    }

    /// Creates a marker of letters and digits only, which URLs and JSON leave unchanged.
    pub(crate) fn at(&self, place: impl Into<String>) -> String {
        let mut places = self.places.lock().expect("nobody panics");
        places.push(place.into());
        format!("{}n{:05}z", self.run, places.len() - 1)
    }

    pub(crate) fn count(&self) -> usize {
        self.places.lock().expect("nobody panics").len()
    }

    /// Finds markers in the bytes in any encoding, with their context and their place of origin.
    pub(crate) fn hits(&self, bytes: &[u8]) -> Vec<String> {
        let search = AhoCorasick::builder().ascii_case_insensitive(true).build(forms(&self.run));
        let search = search.expect("a few short texts");
        let found = search.find_iter(bytes).map(|hit| {
            let around = &bytes[hit.start().saturating_sub(AROUND)..(hit.end() + AROUND).min(bytes.len())];
            let after = String::from_utf8_lossy(&bytes[hit.end()..(hit.end() + 6).min(bytes.len())]);
            let number = after.strip_prefix('n').and_then(|number| number.parse::<usize>().ok());
            let places = self.places.lock().expect("nobody panics");
            let place = number.and_then(|number| places.get(number)).map_or("?", String::as_str);
            format!("[{place}] …{}…", String::from_utf8_lossy(around).escape_debug())
        });
        found.collect()
    }
}

/// A text as it is, in base64 at each alignment, in hexadecimal, percent-encoded, with JSON escapes, and in
/// UTF-16.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let each = |form: fn(u8) -> String| text.bytes().map(form).collect::<String>().into_bytes();
    let mut forms = vec![
        text.as_bytes().to_vec(),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("\\u{byte:04x}")),
        text.bytes().flat_map(|byte| [byte, 0]).collect(),
    ];
    // A base64 character encodes six bits. Characters that also depend on neighbouring text are omitted.
    for before in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before][..], text.as_bytes()].concat());
        let first = (before * 8).div_ceil(6);
        let end = (before + text.len()) * 8 / 6;
        forms.push(encoded.as_bytes()[first..end].to_vec());
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    #[test]
    fn every_form_is_found() {
        let markers = Markers::new();
        let marker = markers.at("the name of a test");
        let each = |form: fn(u8) -> String| marker.bytes().map(form).collect::<String>();
        let mut texts = vec![
            marker.clone(),
            marker.to_uppercase(),
            marker[..markers.run.len()].to_owned(),
            each(|byte| format!("{byte:02X}")),
            each(|byte| format!("%{byte:02X}")),
            each(|byte| format!("\\u{byte:04X}")),
        ];
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "d", "de"] {
                texts.push(STANDARD.encode(format!("{before}{marker}{after}")));
                texts.push(URL_SAFE.encode(format!("{before}{marker}{after}")));
            }
        }
        for text in texts {
            assert_eq!(markers.hits(format!("before {text} after").as_bytes()).len(), 1, "{text}");
        }
        assert!(markers.hits(marker.as_bytes())[0].starts_with("[the name of a test]"));
        let others = Markers::new().at("another run");
        assert!(markers.hits(others.as_bytes()).is_empty());
    }
}
