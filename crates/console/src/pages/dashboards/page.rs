//! The pages with dashboards.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use monitoring::grafana::{Band, Dashboard, Period};

use super::panel::{PanelView, view, view_alone};
use super::screen::Screen;
use crate::calendar;
use crate::pages::choices::{add_choices, chosen};
use crate::pages::dashboard_list::{name_of, named, names, title_of};
use crate::pages::layout::Layout;
use crate::pages::problem::Problem;
use crate::pages::range::TimeRange;
use crate::pages::respond::respond;
use crate::pages::view::View;
use crate::state::{Console, SharedConsole};

/// A row of panels, or a title.
pub(crate) enum BandView {
    Title(&'static str),
    /// Panels of the same height.
    Panels {
        /// Height, in rows of the grid.
        height: u8,
        panels: Vec<PanelView>,
    },
}

#[derive(Template)]
#[template(path = "dashboards.html")]
struct Index {
    layout: Layout,
    dashboards: Vec<(&'static str, &'static str, String, usize)>,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Page {
    layout: Layout,
    bands: Vec<BandView>,
}

#[derive(Template)]
#[template(path = "panel.html")]
struct Single {
    layout: Layout,
    panel: PanelView,
    back: (&'static str, String),
    since: String,
}

/// Lists the dashboards.
pub(crate) async fn index(State(console): State<SharedConsole>, view: View) -> Response {
    respond(console, view, |console, view| {
        let entry = |dashboard: &Dashboard| {
            let address = view.link(&format!("/dashboards/{}", name_of(dashboard.uid)), &[]);
            // Titles are `&'static str`, although they are read through a reference.
            (title_of(dashboard), dashboard.description, address, dashboard.panels().count())
        };
        let dashboards = names().iter().map(entry).collect();
        Ok(Index { layout: Layout::new("Dashboards", view, console), dashboards })
    })
    .await
}

/// Shows a dashboard.
pub(crate) async fn dashboard(
    State(console): State<SharedConsole>,
    Path(name): Path<String>,
    view: View,
) -> Response {
    respond(console, view, move |console, view| {
        let dashboard = find(&name)?;
        let screen = screen(console, view, dashboard);
        let bands = bands(dashboard, &screen);
        let layout = Layout::new(title_of(dashboard), view, console).described(dashboard.description);
        let layout = layout.with_range(view, screen.range).with_refresh(view, refresh(dashboard));
        let chosen = screen.chosen.clone();
        drop(screen);
        Ok(Page { layout: add_choices(layout, console, dashboard.choices, &chosen), bands })
    })
    .await
}

/// Shows a panel alone, with its numbers.
pub(crate) async fn single(
    State(console): State<SharedConsole>,
    Path((name, panel)): Path<(String, String)>,
    view: View,
) -> Response {
    respond(console, view, move |console, view| {
        let dashboard = find(&name)?;
        let id: u16 = panel.parse().map_err(|_| missing_panel(dashboard, &panel))?;
        let panel = dashboard
            .panels()
            .find(|known| known.id() == id)
            .ok_or_else(|| missing_panel(dashboard, &panel))?;
        let screen = screen(console, view, dashboard);
        let shown = view_alone(panel, &screen);
        let layout = Layout::new(panel.title(), view, console)
            .with_range(view, screen.range)
            .with_refresh(view, refresh(dashboard));
        let back = (title_of(dashboard), view.link(&format!("/dashboards/{name}"), &[]));
        let since = screen.metrics.usage().oldest.map(calendar::date_and_time).unwrap_or_default();
        let chosen = screen.chosen.clone();
        drop(screen);
        let layout = add_choices(layout, console, dashboard.choices, &chosen);
        Ok(Single { layout, panel: shown, back, since })
    })
    .await
}

fn find(name: &str) -> Result<&'static Dashboard, Problem> {
    named(name).ok_or_else(|| {
        let known: Vec<&str> = names().iter().map(|dashboard| name_of(dashboard.uid)).collect();
        Problem::not_found(format!("There is no dashboard {name}."))
            .hint(format!("There are {}.", known.join(", ")))
    })
}

fn missing_panel(dashboard: &Dashboard, panel: &str) -> Problem {
    Problem::not_found(format!("The dashboard {} has no panel {panel}.", title_of(dashboard)))
        .hint("Panels are linked from their titles.")
}

fn screen<'a>(console: &'a Console, view: &'a View, dashboard: &'static Dashboard) -> Screen<'a> {
    let range = view.range.unwrap_or_else(|| default_range(dashboard.range, view.now));
    let path = format!("/dashboards/{}", name_of(dashboard.uid));
    Screen::new(console, view, range, dashboard.choices, chosen(console, view, dashboard.choices), path)
}

/// Returns the dashboard's own range, or the next longer one on offer.
fn default_range(period: Period, now: i64) -> TimeRange {
    let length = i64::try_from(period.duration().as_millis()).unwrap_or(3_600_000);
    TimeRange::at_least(length, now)
}

fn refresh(dashboard: &Dashboard) -> u32 {
    dashboard.refresh.map_or(0, |period| u32::try_from(period.duration().as_secs()).unwrap_or(0))
}

/// Shows all panels of a dashboard.
pub(crate) fn bands(dashboard: &Dashboard, screen: &Screen<'_>) -> Vec<BandView> {
    let show = |band: &Band| match band {
        Band::Title(_, title) => BandView::Title(title),
        Band::Panels(height, panels) => BandView::Panels {
            height: *height,
            panels: panels.iter().map(|panel| view(panel, screen, *height)).collect(),
        },
    };
    dashboard.bands.iter().map(show).collect()
}
