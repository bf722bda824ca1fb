//! Parameters of a page from its address: time range, environment, processes, route and refresh.

use super::range::TimeRange;

/// Maximum number of parameters of an address.
const PARAMETERS: usize = 48;
/// Maximum length of a parameter's value in bytes.
const VALUE_BYTES: usize = 400;
/// Refresh intervals that a page offers, in seconds.
pub(super) const REFRESHES: [u32; 4] = [10, 30, 60, 300];

/// Parameters of a page. Every handler takes it as an argument.
#[derive(Clone, Debug)]
pub struct View {
    /// Time of the request in Unix milliseconds.
    pub now: i64,
    /// Path of the page.
    pub path: String,
    /// Time range. `None` means the default of the page.
    pub range: Option<TimeRange>,
    /// Seconds until the page refreshes itself; 0 for never. `None` means the default of the page.
    pub refresh: Option<u32>,
    /// All parameters of the address except for `token`, in their order.
    parameters: Vec<(String, String)>,
}

impl View {
    /// Returns the time range, or the one from `length` milliseconds ago until now.
    pub fn range_or(&self, default: &str) -> TimeRange {
        self.range.or_else(|| TimeRange::last(default, self.now)).unwrap_or(TimeRange::hour(self.now))
    }

    /// Returns the value of a parameter, unless it is missing or empty.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the values of a parameter that can be given several times.
    pub fn parameters_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// Returns the address of this page with these parameters set; an empty value removes one.
    pub fn with(&self, changes: &[(&str, &str)]) -> String {
        let kept = self.parameters.iter().filter(|(key, _)| changes.iter().all(|(name, _)| name != key));
        let kept = kept.map(|(key, value)| (key.as_str(), value.as_str()));
        address(&self.path, kept.chain(changes.iter().copied()))
    }

    /// Returns this view with more parameters after those of the address, without those of one name.
    pub(super) fn extended(&self, without: &str, more: Vec<(&str, String)>) -> Self {
        let mut parameters = self.parameters.clone();
        parameters.retain(|(name, _)| name != without);
        parameters.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Self { parameters, ..self.clone() }
    }

    /// Returns the address of another page with the same range, environment, processes and route, and with
    /// more parameters.
    pub fn link(&self, path: &str, more: &[(&str, &str)]) -> String {
        let kept = self.shared().filter(|(key, _)| more.iter().all(|(name, _)| name != key));
        address(path, kept.chain(more.iter().copied()))
    }

    /// Returns the parameters that other pages have too.
    pub fn shared(&self) -> impl Iterator<Item = (&str, &str)> {
        const SHARED: [&str; 7] = ["range", "from", "until", "environment", "instance", "route", "refresh"];
        let parameters = self.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        parameters.filter(|(key, _)| SHARED.contains(key))
    }

    /// Like [`link`](Self::link), with the parameters of a query.
    pub fn link_to_query(&self, path: &str, parameters: &[(&str, String)]) -> String {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.link(path, &parameters)
    }

    /// Returns the address of another page for a time range.
    pub fn link_at(&self, path: &str, from: i64, until: i64, more: &[(&str, &str)]) -> String {
        let (from, until) = (from.to_string(), until.to_string());
        let mut changes = vec![("range", ""), ("from", from.as_str()), ("until", until.as_str())];
        changes.extend_from_slice(more);
        self.link(path, &changes)
    }

    /// Creates the view of an address without parameters.
    pub fn plain(path: &str, now: i64) -> Self {
        Self { now, path: path.to_owned(), range: None, refresh: None, parameters: Vec::new() }
    }

    /// Reads the parameters of an address.
    ///
    /// # Errors
    /// Returns a sentence that says what is wrong.
    pub fn read(path: &str, parameters: Vec<(String, String)>, now: i64) -> Result<Self, String> {
        if parameters.len() > PARAMETERS {
            return Err(format!(
                "The address has {} parameters; {PARAMETERS} are allowed.",
                parameters.len()
            ));
        }
        if let Some((name, _)) = parameters.iter().find(|(_, value)| value.len() > VALUE_BYTES) {
            return Err(format!("The value of {name:?} is longer than {VALUE_BYTES} bytes."));
        }
        let mut view = Self { parameters, ..Self::plain(path, now) };
        view.range =
            TimeRange::read(view.parameter("range"), view.parameter("from"), view.parameter("until"), now)?;
        view.refresh = view.parameter("refresh").map(refresh).transpose()?;
        Ok(view)
    }
}

fn refresh(text: &str) -> Result<u32, String> {
    let offered = || REFRESHES.map(|seconds| seconds.to_string()).join(", ");
    let seconds = text.parse().ok().filter(|seconds| *seconds == 0 || REFRESHES.contains(seconds));
    seconds.ok_or_else(|| format!("refresh={text} is none of 0, {}.", offered()))
}

/// Returns a path with parameters. Empty values are omitted.
pub fn address<'a>(path: &str, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = path.to_owned();
    let mut separator = '?';
    for (name, value) in parameters.filter(|(_, value)| !value.is_empty()) {
        text.push(separator);
        encode(&mut text, name);
        text.push('=');
        encode(&mut text, value);
        separator = '&';
    }
    text
}

/// Appends a percent-encoded text.
fn encode(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:/,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(pairs: &[(&str, &str)]) -> Result<View, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        View::read("/logs", pairs.collect(), 1_796_047_509_000)
    }

    #[test]
    fn addresses_keep_what_is_not_changed() {
        let view = view(&[("range", "6h"), ("level", "error"), ("instance", "a b")]).expect("view");
        assert_eq!(view.with(&[("range", "1h")]), "/logs?level=error&instance=a%20b&range=1h");
        assert_eq!(view.with(&[("level", "")]), "/logs?range=6h&instance=a%20b");
        assert_eq!(view.link("/traces", &[("id", "7&8")]), "/traces?range=6h&instance=a%20b&id=7%268");
        assert_eq!(view.link_at("/traces", 1, 2, &[]), "/traces?instance=a%20b&from=1&until=2");
    }

    #[test]
    fn wrong_parameters_are_named() {
        let long = "x".repeat(401);
        let cases = [
            ("range", "1 hour", "1 hour"),
            ("refresh", "1", "10, 30"),
            ("from", "yesterday", "yesterday"),
            ("q", &long, "400"),
        ];
        for (name, value, expected) in cases {
            let error = view(&[(name, value)]).expect_err("error");
            assert!(error.contains(expected), "{error}");
        }
    }
}
