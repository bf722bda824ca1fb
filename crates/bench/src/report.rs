//! The table of costs, the JSON file, and the limits.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cost::Cost;
use crate::route::Route;
use crate::variant::Variant;

/// Maximum that all signals may add to a request without work. They add far less; `--check` guards
/// the actual cost. The tenth of an allocation is for batches, each of which serves hundreds of
/// requests.
const LIMIT: Added = Added { instructions: 3_500, allocations: 1.1 };
/// Maximum cost of the span and the points of an operation within a request. A database operation
/// writes no line unless it fails; other operations do, as `all_signals` shows.
const CHILD_LIMIT: Added = Added { instructions: 1_200, allocations: 0.1 };
/// Minimum ratio of the instructions that the usual crates add to those that all signals of Socialize add,
/// for a request without work.
const LEAST_FACTOR: f64 = 40.0;

/// The difference between two costs.
#[derive(Clone, Copy)]
pub(crate) struct Added {
    pub(crate) instructions: i64,
    pub(crate) allocations: f64,
}

impl Added {
    /// Returns instructions and allocations as text with signs.
    fn texts(self) -> (String, String) {
        let sign = if self.instructions >= 0 { "+" } else { "" };
        (format!("{sign}{}", thousands(self.instructions)), format!("{:+.2}", self.allocations))
    }
}

/// Returns the maximum that a variant may add on a route.
fn limit(route: Route, variant: Variant) -> Option<Added> {
    match (route, variant) {
        (Route::NoOpJson, Variant::AllSignals) => Some(LIMIT),
        (Route::Job | Route::DatabaseOperation | Route::OutboundCall, Variant::LinesFromWarn) => {
            Some(CHILD_LIMIT)
        }
        _ => None,
    }
}

/// Fraction by which instructions may rise above the baseline. Two builds of the same code differ
/// by an instruction or two. After a change, the compiler may arrange unchanged code differently,
/// which costs up to half a percent.
const TOLERATED_RISE: f64 = 0.03;
/// Tolerance for allocations that happen once for many requests; all others do not vary.
const TOLERATED_ALLOCATIONS: f64 = 0.05;

/// Returns whether Socialize's code would cause a rise above the baseline. The bare router and the usual
/// crates do not contain it. Database routes are left out, because the arrival of packets varies.
fn is_compared(route: Route, variant: Variant) -> bool {
    is_checked(route, variant) && variant != Variant::None
}

/// Returns whether a check measures it: every compared variant, and the bare router, to which the limits
/// relate.
pub(crate) fn is_checked(route: Route, variant: Variant) -> bool {
    !route.needs_database() && !variant.is_usual()
}

/// Costs by route and variant.
#[derive(Default)]
pub(crate) struct Report {
    costs: BTreeMap<String, BTreeMap<String, Cost>>,
}

/// Returns the path of the committed costs.
pub(crate) fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

impl Report {
    /// Reads the committed costs.
    pub(crate) fn baseline() -> anyhow::Result<Self> {
        let file = baseline_file();
        let text = std::fs::read_to_string(&file);
        let text = text.with_context(|| format!("{} cannot be read; --accept writes it", file.display()))?;
        Ok(Self { costs: serde_json::from_str(&text).with_context(|| format!("{}", file.display()))? })
    }

    pub(crate) fn add(&mut self, route: Route, variant: Variant, cost: Cost) {
        let variants = self.costs.entry(route.as_str().to_owned()).or_default();
        variants.insert(variant.as_str().to_owned(), cost);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.costs.is_empty()
    }

    pub(crate) fn cost(&self, route: Route, variant: Variant) -> Option<Cost> {
        self.costs.get(route.as_str())?.get(variant.as_str()).copied()
    }

    /// Returns the ratio of the instructions that a variant of the usual crates adds to those of all signals.
    pub(crate) fn factor(&self, route: Route, variant: Variant) -> Option<f64> {
        let own = self.added(route, Variant::AllSignals)?.instructions;
        let usual = self.added(route, variant).filter(|_| variant.is_usual())?.instructions;
        Some(usual as f64 / own as f64)
    }

    /// Returns the cost that a variant adds to the bare router.
    pub(crate) fn added(&self, route: Route, variant: Variant) -> Option<Added> {
        let (with, bare) = (self.cost(route, variant)?, self.cost(route, Variant::None)?);
        Some(Added {
            instructions: with.instructions.cast_signed() - bare.instructions.cast_signed(),
            allocations: with.allocations - bare.allocations,
        })
    }

    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(&self.costs)?;
        text.push('\n');
        std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Prints costs and differences as a table.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let mut row = |cells: [&str; 7]| {
            let [route, variant, instructions, more, allocations, more_allocations, factor] = cells;
            writeln!(
                out,
                "{route:<20}{variant:<28}{instructions:>12}{more:>10}{allocations:>13}{more_allocations:>9}{factor:>7}"
            )
        };
        row(["route", "variant", "instructions", "added", "allocations", "added", "times"])?;
        for route in Route::ALL {
            for variant in route.variants() {
                let Some(cost) = self.cost(*route, *variant) else { continue };
                let added = self.added(*route, *variant).filter(|_| *variant != Variant::None);
                let (more_instructions, more_allocations) = added.map(Added::texts).unwrap_or_default();
                row([
                    route.as_str(),
                    variant.as_str(),
                    &thousands(cost.instructions.cast_signed()),
                    &more_instructions,
                    &format!("{:.2}", cost.allocations),
                    &more_allocations,
                    &self.factor(*route, *variant).map(|factor| format!("{factor:.1}")).unwrap_or_default(),
                ])?;
                if let Some(limit) = limit(*route, *variant) {
                    let (instructions, allocations) = limit.texts();
                    row([route.as_str(), "  at most", "", &instructions, "", &allocations, ""])?;
                }
            }
        }
        writeln!(
            out,
            "\n\
             Per request, over all threads. `at most` is for the variant above; `times` is how many times as many \
             instructions as all_signals the usual crates add."
        )?;
        Ok(())
    }

    /// Lists variants that exceed their limit, and all signals if they add more than a fortieth of
    /// what the usual crates add.
    pub(crate) fn exceeded_limits(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let variants = Route::ALL
            .iter()
            .flat_map(|route| route.variants().iter().map(move |variant| (*route, *variant)));
        for (route, variant) in variants {
            let (Some(added), Some(limit)) = (self.added(route, variant), limit(route, variant)) else {
                continue;
            };
            let name = format!("{}/{}", route.as_str(), variant.as_str());
            if added.instructions > limit.instructions {
                let (added, limit) = (thousands(added.instructions), thousands(limit.instructions));
                problems.push(format!("{name} adds {added} instructions; at most {limit} are allowed"));
            }
            if added.allocations > limit.allocations {
                let (added, limit) = (added.allocations, limit.allocations);
                problems.push(format!("{name} adds {added} allocations; at most {limit} are allowed"));
            }
        }
        for variant in Variant::USUAL {
            let Some(factor) = self.factor(Route::NoOpJson, *variant) else { continue };
            if factor < LEAST_FACTOR {
                let name = variant.as_str();
                problems.push(format!(
                    "no_op_json: {name} adds {factor:.1} times the instructions of all signals; at least \
                     {LEAST_FACTOR} times are promised"
                ));
            }
        }
        problems
    }

    /// Lists costs that are higher than in `baseline`.
    pub(crate) fn rises_above(&self, baseline: &Self) -> Vec<String> {
        let mut problems = Vec::new();
        for route in Route::ALL {
            for variant in route.variants().iter().filter(|variant| is_compared(*route, **variant)) {
                let name = format!("{}/{}", route.as_str(), variant.as_str());
                let Some(now) = self.cost(*route, *variant) else { continue };
                let Some(before) = baseline.cost(*route, *variant) else {
                    problems.push(format!("{name} is not in the baseline; --accept writes it"));
                    continue;
                };
                if now.instructions as f64 > before.instructions as f64 * (1.0 + TOLERATED_RISE) {
                    let (before, now) = (before.instructions.cast_signed(), now.instructions.cast_signed());
                    let (before, now) = (thousands(before), thousands(now));
                    problems.push(format!("{name} rose from {before} to {now} instructions"));
                }
                if now.allocations > before.allocations + TOLERATED_ALLOCATIONS {
                    problems.push(format!(
                        "{name} rose from {} to {} allocations",
                        before.allocations, now.allocations
                    ));
                }
            }
        }
        problems
    }
}

/// Prints the problems, one a line.
pub(crate) fn print_problems(problems: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for problem in problems {
        writeln!(out, "TOO EXPENSIVE: {problem}.")?;
    }
    Ok(())
}

/// Formats a number with its digits in groups of three.
pub(crate) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if number < 0 { format!("-{grouped}") } else { grouped }
}
