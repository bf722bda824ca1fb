//! All expressions of dashboards and rules.

use std::collections::BTreeMap;

use monitoring::dashboards;
use monitoring::grafana::Query;
use monitoring::query::{Expression, Scale};
use monitoring::rules::{groups, recordings};

/// The expressions of one dashboard.
pub(crate) struct Charts {
    pub(crate) name: &'static str,
    pub(crate) expressions: Vec<Expression>,
}

pub(crate) fn charts() -> Vec<Charts> {
    let expression = |query| match query {
        Query::Series { expression, .. } => Some(expression),
        _ => None,
    };
    let charts = dashboards::all().into_iter().map(|(name, dashboard)| {
        let targets = dashboard.panels().flat_map(|panel| panel.targets());
        let expressions = targets.filter_map(|target| expression(target.narrowed(dashboard.choices)));
        Charts { name, expressions: expressions.collect() }
    });
    charts.collect()
}

/// Recordings and conditions of alerts.
pub(crate) fn rules() -> Vec<Expression> {
    let recordings = recordings(Scale::REAL).rules.into_iter().map(|rule| rule.expression);
    let alerts = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts);
    recordings.chain(alerts.map(|alert| alert.condition)).collect()
}

/// Every expression and each of its parts that has series or a histogram, by its text.
pub(crate) fn all_parts() -> BTreeMap<String, Expression> {
    let mut parts = BTreeMap::new();
    for expression in charts().iter().flat_map(|charts| &charts.expressions).chain(&rules()) {
        add_parts(expression, &mut parts);
    }
    parts
}

fn add_parts(expression: &Expression, parts: &mut BTreeMap<String, Expression>) {
    match expression {
        Expression::Number(_) | Expression::IntervalMilliseconds => return,
        Expression::Histogram { of, .. }
        | Expression::Labelled { of, .. }
        | Expression::Aggregate { of, .. }
        | Expression::Parentheses(of) => add_parts(of, parts),
        Expression::Binary { left, right, .. } => {
            add_parts(left, parts);
            add_parts(right, parts);
        }
        Expression::Time
        | Expression::Constant(_)
        | Expression::Instant(_)
        | Expression::Range { .. }
        | Expression::Timestamp(_) => {}
    }
    parts.insert(expression.to_string(), expression.clone());
}

/// Returns whether equal values make a difference: `topk` chooses among them.
pub(crate) fn has_ties(expression: &Expression) -> bool {
    expression.to_string().contains("topk(")
}
