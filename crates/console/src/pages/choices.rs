//! The variables of a dashboard: their values in the stores, and those chosen in the address.

use std::collections::BTreeSet;

use catalogue::metrics::BUILD_INFO;
use monitoring::query::{Environment, Instance, LabelName, Route};
use signal::builtin::HTTP_SERVER_REQUEST_DURATION;
use signal::metric::prometheus_label;

use crate::pages::environment;
use crate::pages::layout::{Choice as LayoutChoice, Layout};
use crate::pages::view::View;
use crate::state::{Console, read};
use crate::store::metrics::MetricSource;

use monitoring::query::Choice;

/// Maximum number of offered values.
const VALUES: usize = 300;

/// Returns the chosen values of each variable.
pub(crate) fn chosen(console: &Console, view: &View, choices: &[Choice]) -> Vec<(Choice, Vec<String>)> {
    let values = |choice: &Choice| match choice {
        Choice::Environment => (*choice, environment::chosen(console, view)),
        _ => (*choice, view.parameters_named(choice.name()).map(str::to_owned).collect()),
    };
    choices.iter().map(values).collect()
}

/// Adds the choices to the layout. Variables with a single value are omitted.
pub(crate) fn add_choices(
    mut layout: Layout,
    console: &Console,
    choices: &[Choice],
    chosen: &[(Choice, Vec<String>)],
) -> Layout {
    for choice in choices {
        let (label, all, metric, key) = match choice {
            Choice::Environment => {
                ("Environment", "All", BUILD_INFO.description().prometheus_name(), Environment::KEY)
            }
            Choice::Instance => ("Process", "All", BUILD_INFO.description().prometheus_name(), Instance::KEY),
            Choice::Route => {
                ("Route", "All", HTTP_SERVER_REQUEST_DURATION.description().prometheus_name(), Route::KEY)
            }
            Choice::RequestId => continue,
        };
        let mut values = values_of(console, &metric, &prometheus_label(key));
        let own: &[String] =
            chosen.iter().find(|(known, _)| known == choice).map_or(&[], |(_, values)| values.as_slice());
        values.extend(own.iter().cloned());
        if values.len() > 1 || !own.is_empty() {
            let values = values.into_iter().map(|value| {
                let is_chosen = own.contains(&value);
                (value, is_chosen)
            });
            layout = layout.with_choice(LayoutChoice {
                name: choice.name(),
                label,
                all,
                all_value: match choice {
                    Choice::Environment => environment::all_value(console),
                    _ => "",
                },
                values: values.collect(),
            });
        }
    }
    layout
}

/// Adds the choice of the environment to a page without panels.
pub(crate) fn add_environment(layout: Layout, console: &Console, view: &View) -> Layout {
    let choices = [Choice::Environment];
    add_choices(layout, console, &choices, &chosen(console, view, &choices))
}

fn values_of(console: &Console, metric: &str, label: &str) -> BTreeSet<String> {
    let metrics = read(console.metrics());
    let series = metrics.series(metric);
    let values: BTreeSet<String> = series
        .into_iter()
        .map(|id| metrics.labels(id).get(label).to_owned())
        .filter(|value| !value.is_empty())
        .collect();
    values.into_iter().take(VALUES).collect()
}
