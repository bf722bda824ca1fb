//! The frame of every page: navigation, time range and refresh. Templates extend `layout.html` and have a
//! field `layout`.

use monitoring::grafana::Dashboard;

use super::assets::Assets;
use super::dashboard_list::{name_of, names, title_of};
use super::range::{RANGES, TimeRange};
use super::view::{REFRESHES, View};
use crate::calendar;
use crate::state::Console;

/// Pages in the navigation, by path and name.
pub(super) const NAVIGATION: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/dashboards", "Dashboards"),
    ("/alerts", "Alerts"),
    ("/logs", "Logs"),
    ("/traces", "Traces"),
    ("/about", "Console"),
];

/// A link of the layout.
#[derive(Clone, Debug)]
pub struct Anchor {
    pub text: String,
    pub address: String,
    /// True if it leads to the current page.
    pub current: bool,
    /// Lower-case name for style sheets.
    pub class: String,
    /// Links below it.
    pub inner: Vec<Anchor>,
}

/// A choice of values in the bar above a page.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Name of the parameter.
    pub name: &'static str,
    /// Label for people.
    pub label: &'static str,
    /// Label of the option for all values.
    pub all: &'static str,
    /// Value of "all values" in the address.
    pub all_value: &'static str,
    /// Values, and whether each is chosen.
    pub values: Vec<(String, bool)>,
}

/// Returns links to the dashboards.
fn dashboards(view: &View) -> Vec<Anchor> {
    let link = |dashboard: &Dashboard| {
        let path = format!("/dashboards/{}", name_of(dashboard.uid));
        Anchor {
            text: title_of(dashboard).to_owned(),
            address: view.link(&path, &[]),
            current: view.path == path || view.path.starts_with(&format!("{path}/")),
            class: String::new(),
            inner: Vec::new(),
        }
    };
    // The page "/" shows the dashboard named overview.
    names().iter().filter(|dashboard| name_of(dashboard.uid) != "overview").map(link).collect()
}

/// The frame of a page.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Title of the page.
    pub title: String,
    /// Description below the title; can be empty.
    pub description: String,
    /// Addresses of style sheet, script and icon.
    pub assets: Assets,
    /// Links to the pages.
    pub navigation: Vec<Anchor>,
    /// Parameters that the form for a request id keeps.
    pub shared: Vec<(String, String)>,
    /// Links to the ranges; empty if the page has no range.
    pub ranges: Vec<Anchor>,
    pub range_text: String,
    /// The range for the fields of the form.
    pub fields: Option<(String, String)>,
    /// Choices above the page.
    pub choices: Vec<Choice>,
    /// Parameters that the form of the range keeps.
    pub kept: Vec<(String, String)>,
    kept_range: Vec<(String, String)>,
    /// Path of the page.
    pub path: String,
    /// Links to the refresh intervals; empty if the page does not refresh itself.
    pub refreshes: Vec<Anchor>,
    /// Seconds until the page refreshes itself; 0 for never.
    pub refresh: u32,
    /// Time of rendering for people.
    pub rendered_at: String,
    /// Environment in the header; can be empty.
    pub environment: String,
}

impl Layout {
    /// Creates the layout of a page without a range.
    pub fn new(title: &str, view: &View, console: &Console) -> Self {
        let section = view.path.split('/').nth(1).unwrap_or_default();
        let section = if section == "requests" { "traces" } else { section };
        let navigation = NAVIGATION.iter().map(|(path, text)| Anchor {
            text: (*text).to_owned(),
            address: view.link(path, &[]),
            current: path.trim_start_matches('/') == section,
            class: text.to_lowercase(),
            inner: if *path == "/dashboards" { dashboards(view) } else { Vec::new() },
        });
        Self {
            title: title.to_owned(),
            description: String::new(),
            assets: Assets::current(),
            navigation: navigation.collect(),
            shared: view.shared().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ranges: Vec::new(),
            range_text: String::new(),
            fields: None,
            choices: Vec::new(),
            kept: Vec::new(),
            kept_range: Vec::new(),
            path: view.path.clone(),
            refreshes: Vec::new(),
            refresh: 0,
            rendered_at: calendar::clock_with_seconds(view.now),
            environment: console.facts().environment.clone().unwrap_or_default(),
        }
    }

    /// Adds a description below the title.
    #[must_use]
    pub fn described(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// Adds the choice of a time range. `range` is the current one.
    #[must_use]
    pub fn with_range(mut self, view: &View, range: TimeRange) -> Self {
        let link = |(name, label, _): &(&str, &str, i64)| Anchor {
            text: (*label).to_owned(),
            address: view.with(&[("from", ""), ("until", ""), ("before", ""), ("range", name)]),
            current: range.name == Some(name),
            class: String::new(),
            inner: Vec::new(),
        };
        self.ranges = RANGES.iter().map(link).collect();
        self.range_text = range.text();
        self.fields = Some((calendar::for_field(range.from), calendar::for_field(range.until)));
        let is_kept = |name: &str| !["range", "from", "until", "before"].contains(&name);
        let (kept, range) = view.parameters().iter().cloned().partition(|(name, _)| is_kept(name));
        self.kept = kept;
        self.kept_range = range;
        self
    }

    /// Adds the choice of a refresh interval. `default` applies if the address names no interval.
    #[must_use]
    pub fn with_refresh(mut self, view: &View, default: u32) -> Self {
        self.refresh = view.refresh.unwrap_or(default);
        let link = |seconds: u32| Anchor {
            text: match seconds {
                0 => "off".to_owned(),
                1..60 => format!("{seconds} s"),
                _ => format!("{} min", seconds / 60),
            },
            address: view.with(&[("refresh", &seconds.to_string())]),
            current: seconds == self.refresh,
            class: String::new(),
            inner: Vec::new(),
        };
        self.refreshes = std::iter::once(0).chain(REFRESHES).map(link).collect();
        self
    }

    /// Adds a choice of values. A choice without values is omitted.
    #[must_use]
    pub fn with_choice(mut self, choice: Choice) -> Self {
        if !choice.values.is_empty() {
            self.choices.push(choice);
        }
        self
    }

    /// Returns whether the range is a fixed one, from one time until another.
    pub fn is_fixed(&self) -> bool {
        self.ranges.iter().all(|link| !link.current)
    }

    /// Returns the refresh interval in words.
    pub fn refresh_text(&self) -> &str {
        self.refreshes.iter().find(|link| link.current).map_or("", |link| &link.text)
    }

    /// Returns the parameters of the range, which the form of the choices keeps.
    pub fn kept_range(&self) -> &[(String, String)] {
        &self.kept_range
    }

    /// Returns the parameters that the form of the choices keeps.
    pub fn kept_by_choices(&self) -> Vec<(String, String)> {
        let is_choice = |name: &str| self.choices.iter().any(|choice| choice.name == name);
        self.kept.iter().filter(|(name, _)| !is_choice(name)).cloned().collect()
    }
}
