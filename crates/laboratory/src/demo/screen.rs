//! Layout of the live view: everything except the log fits into 80 columns and 24 rows.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, Sparkline};

use super::about::About;
use super::usage::UsageCount;
use super::view_state::{Phase, ViewState};
use crate::settings::Behaviour;

const USAGE_WIDTH: u16 = 39;
const TITLE_HEIGHT: u16 = 1;
const FOOTER_HEIGHT: u16 = 5;
const GAUGES_HEIGHT: u16 = 6;
/// Width of the API's numbers; the chart gets the rest.
const NUMBERS_WIDTH: u16 = 29;
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

pub(super) fn draw(frame: &mut Frame<'_>, about: &About, state: &ViewState) {
    let usage_height = state.usage.len() as u16 + 3;
    let spare = frame.area().height.saturating_sub(usage_height + TITLE_HEIGHT + FOOTER_HEIGHT);
    let [title, middle, gauges, log, footer] = Layout::vertical([
        Constraint::Length(TITLE_HEIGHT),
        Constraint::Length(usage_height),
        Constraint::Length(if spare >= GAUGES_HEIGHT { GAUGES_HEIGHT } else { 0 }),
        Constraint::Fill(1),
        Constraint::Length(FOOTER_HEIGHT),
    ])
    .areas(frame.area());
    draw_title(frame, title, about, state);
    let [left, right] =
        Layout::horizontal([Constraint::Length(USAGE_WIDTH), Constraint::Fill(1)]).areas(middle);
    draw_usage(frame, left, state);
    let [api, health, background, people] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(4),
        Constraint::Length(7),
        Constraint::Length(3),
    ])
    .areas(right);
    draw_api(frame, api, state);
    draw_health(frame, health, state);
    draw_background(frame, background, state);
    draw_people(frame, people, state);
    draw_gauges(frame, gauges, state);
    draw_log(frame, log, state);
    draw_footer(frame, footer, about);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, about: &About, state: &ViewState) {
    let elapsed = clock(state.elapsed);
    let time = match about.duration {
        Some(duration) => format!("{elapsed} of {}", clock(duration)),
        None => elapsed,
    };
    let (word, color) = match (state.phase, state.health.readiness) {
        (Phase::Draining, _) => ("draining", Color::Yellow),
        (Phase::Running, "ready") => ("ready", Color::Green),
        (Phase::Running, other) => (other, Color::Red),
    };
    let state = Line::from(vec![Span::styled("● ", color), Span::styled(word, color), " ".into()]);
    let Behaviour { rate, seed } = about.behaviour;
    let left = Line::from(vec![
        " Socialize ".bold(),
        about.version.dim(),
        "  demo  ".into(),
        time.bold(),
        format!("  {rate} actions/s, seed {seed}").dim(),
    ]);
    let [left_area, right_area] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(state.width() as u16)]).areas(area);
    frame.render_widget(Paragraph::new(left), left_area);
    frame.render_widget(Paragraph::new(state), right_area);
}

fn panel(title: impl Into<Line<'static>>) -> Block<'static> {
    Block::bordered().border_type(BorderType::Rounded).border_style(DIM).title(title.into().bold())
}

fn draw_usage(frame: &mut Frame<'_>, area: Rect, state: &ViewState) {
    let mut lines = vec![Line::styled(format!(" {:<19}{:>7} {:>7}", "", "signal", "facts"), DIM)];
    lines.extend(state.usage.iter().map(usage_line));
    frame.render_widget(Paragraph::new(lines).block(panel(" What people did ")), area);
}

fn usage_line(count: &UsageCount) -> Line<'static> {
    let UsageCount { title, signal, facts, .. } = count;
    // Facts are counted once a second, so a counter may be ahead of them for a moment.
    let mark = if count.is_right() { "✓".green() } else { "…".yellow() };
    let style = if *signal == 0 { DIM } else { Style::new() };
    Line::from(vec![Span::styled(format!(" {title:<19}{signal:>7} {facts:>7} "), style), mark])
}

fn draw_api(frame: &mut Frame<'_>, area: Rect, state: &ViewState) {
    let block = panel(" API ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let traffic = &state.traffic;
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let failed = if traffic.failed > 0.0 { Color::Red } else { Color::Green };
    let lines = vec![
        Line::from(vec![
            format!(" {:.1}", traffic.rate).bold(),
            " requests/s".into(),
            format!("  {} in all", state.requests).dim(),
        ]),
        Line::from(vec![
            " p50 ".dim(),
            milliseconds(traffic.p50).into(),
            "  p95 ".dim(),
            milliseconds(traffic.p95).bold(),
        ]),
        Line::from(vec![
            Span::styled(format!(" {}", percent(traffic.failed)), failed),
            " failed  ".dim(),
            percent(traffic.refused).into(),
            " refused".dim(),
        ]),
    ];
    let [numbers, chart] =
        Layout::horizontal([Constraint::Length(NUMBERS_WIDTH), Constraint::Fill(1)]).areas(inner);
    frame.render_widget(Paragraph::new(lines), numbers);
    let newest = &traffic.history[traffic.history.len().saturating_sub(usize::from(chart.width))..];
    frame.render_widget(Sparkline::default().data(newest).style(Color::Cyan), chart);
}

fn draw_health(frame: &mut Frame<'_>, area: Rect, state: &ViewState) {
    let block = panel(" Health ");
    let mut dependencies = dependencies_in_words(state);
    if dependencies.width() > usize::from(block.inner(area).width) {
        dependencies = dependencies_in_signs(state);
    }
    let live = if state.health.live { "live".green() } else { "not live".red() };
    let memory = state.memory_bytes.map_or_else(String::new, |bytes| format!("{:.0} MiB", bytes / 1048576.0));
    let dropped = format!("{} signals dropped", state.dropped);
    let dropped = if state.dropped == 0 { dropped.dim() } else { dropped.red() };
    let process = vec![" ".into(), live, "  ".into(), memory.into(), "  ".into(), dropped];
    let lines = vec![dependencies, Line::from(process)];
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn color_of(state: &str) -> Color {
    match state {
        "up" => Color::Green,
        "down" => Color::Red,
        _ => Color::Yellow,
    }
}

fn dependencies_in_words(state: &ViewState) -> Line<'static> {
    let mut spans = Vec::new();
    for dependency in &state.health.dependencies {
        let took = dependency.check_duration_ms.map(|took| format!(" {took:.1} ms")).unwrap_or_default();
        spans.extend([
            format!(" {} ", dependency.name).into(),
            Span::styled(dependency.state, color_of(dependency.state)),
            took.dim(),
            " ".into(),
        ]);
    }
    Line::from(spans)
}

/// Short form for narrow terminals.
fn dependencies_in_signs(state: &ViewState) -> Line<'static> {
    let mut spans = Vec::new();
    for dependency in &state.health.dependencies {
        let sign = match dependency.state {
            "up" => "✓",
            "down" => "✗",
            _ => "…",
        };
        spans.extend([
            Span::styled(format!(" {sign} "), color_of(dependency.state)),
            dependency.name.into(),
            " ".into(),
        ]);
    }
    Line::from(spans)
}

fn draw_background(frame: &mut Frame<'_>, area: Rect, state: &ViewState) {
    let number = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
    let jobs = state.jobs;
    let alarming = |text: String, count: u64| if count == 0 { text.dim() } else { text.red() };
    let age = jobs.oldest_age.map_or(String::new(), |age| format!(", oldest {:.1} s", age.as_secs_f64()));
    let (emails, files, posts) = (state.emails, state.files, state.posts);
    let lines = vec![
        Line::from(vec![
            " queue  ".dim(),
            format!("{} jobs{age}", number(jobs.depth)).into(),
            alarming(format!(", {} dead", number(jobs.dead)), jobs.dead.unwrap_or_default()),
        ]),
        Line::from(vec![
            " jobs   ".dim(),
            format!("{} ok", jobs.ok).into(),
            alarming(format!(", {} not", jobs.not_ok), jobs.not_ok),
        ]),
        Line::from(vec![
            " mail   ".dim(),
            format!("{} sent", emails.delivered).into(),
            alarming(format!(", {} deferred", emails.deferred), emails.deferred),
            alarming(format!(", {} refused", emails.refused), emails.refused),
        ]),
        Line::from(vec![
            " files  ".dim(),
            format!("{} stored, {} read", files.stored, files.read).into(),
            alarming(format!(", {} failed", files.failed), files.failed),
        ]),
        Line::from(vec![
            " posts  ".dim(),
            format!("{} out", posts.delivered).into(),
            alarming(format!(", {} deferred", posts.deferred), posts.deferred),
            alarming(format!(", {} failed", posts.failed), posts.failed),
        ]),
    ];
    frame.render_widget(Paragraph::new(lines).block(panel(" Background ")), area);
}

fn draw_people(frame: &mut Frame<'_>, area: Rect, state: &ViewState) {
    let driven = &state.driven;
    let total = driven.total();
    let unexpected = format!("  {} unexpected", total.unexpected);
    let line = Line::from(vec![
        format!(" {} ok", total.ok).into(),
        format!("  {} refused", total.refused).into(),
        if total.unexpected == 0 { unexpected.dim() } else { unexpected.red().bold() },
    ]);
    let title = format!(" {} people in {} teams ", driven.people, driven.teams);
    frame.render_widget(Paragraph::new(line).block(panel(title)), area);
}

fn draw_gauges(frame: &mut Frame<'_>, area: Rect, state: &ViewState) {
    // No space left.
    if area.height == 0 {
        return;
    }
    let block = panel(" In the database now ");
    let Some(gauges) = &state.gauges else {
        frame.render_widget(Paragraph::new(" nobody has sampled it".dim()).block(block), area);
        return;
    };
    let counts = |title: &'static str, counts: &[(&'static str, u64)]| {
        let mut spans = vec![format!(" {title:<9}").dim()];
        for (name, count) in counts {
            let text = format!("{count}  ");
            spans.extend([format!("{name} ").dim(), if *count == 0 { text.dim() } else { text.into() }]);
        }
        Line::from(spans)
    };
    let alarming = |text: String, is_right: bool| if is_right { text.dim() } else { text.red() };
    let (before, after) = gauges.content_items.split_at(gauges.content_items.len() / 2 + 1);
    let (day, week) = gauges.workspaces_active;
    let (stale, invites) = (gauges.stale_in_approval, gauges.invites_pending);
    let drift = gauges.drift.map_or("not compared".to_owned(), |rows| format!("{rows} rows drift"));
    let mut others = vec![
        format!(" {:<9}", "others").dim(),
        format!("{stale} stale  {invites} invites  {day} (24h) {week} (7d) workspaces active  ").into(),
        alarming(drift, gauges.drift.is_none_or(|rows| rows == 0)),
    ];
    others.extend(state.dead_letters.iter().map(|(kind, count)| format!("  {count} dead {kind}").red()));
    let lines = vec![
        counts("items", before),
        counts("", after),
        counts("feedback", &gauges.feedback_reports),
        Line::from(others),
    ];
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_log(frame: &mut Frame<'_>, area: Rect, state: &ViewState) {
    // A frame without lines would be useless.
    if area.height < 3 {
        return;
    }
    let room = usize::from(area.height) - 2;
    let newest = &state.log[state.log.len().saturating_sub(room)..];
    let lines: Vec<Line<'_>> = newest.iter().map(|line| Line::from(format!(" {line}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(panel(" Log ")), area);
}

fn draw_footer(frame: &mut Frame<'_>, area: Rect, about: &About) {
    let link = |name: &'static str, place: &str| {
        Line::from(vec![format!(" {name:<9}").dim(), place.to_owned().into()])
    };
    let console = about.console_url.as_deref().unwrap_or("not started");
    let mut lines = vec![
        link("console", console),
        link("API", &about.documentation_url),
        link("metrics", &format!("{}   health {}", about.metrics_url, about.health_url)),
        link("files", &format!("{}   {}", about.mail_directory.display(), about.log_file.display())),
    ];
    lines.push(Line::from(" Ctrl-C ends in good order, twice at once").dim());
    frame.render_widget(Paragraph::new(lines), area);
}

fn milliseconds(duration: Option<Duration>) -> String {
    duration.map_or("–".to_owned(), |duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0))
}

/// Formats as `0:07`, `12:34` or `1:02:03`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_on_a_clock() {
        let written = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!([written(7), written(754), written(3723)], ["0:07", "12:34", "1:02:03"]);
    }
}
