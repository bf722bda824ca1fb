//! The table, the JSON file, and what is too expensive.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cost::Cost;
use crate::workload::{Route, Variant};

/// What all signals may add to a request without work. The tenth of an allocation is for batches, each of which serves hundreds of requests.
const LIMIT: Added = Added { instructions: 5_500, allocations: 3.1 };

/// The difference between two costs.
#[derive(Clone, Copy)]
struct Added {
    instructions: i64,
    allocations: f64,
}

impl Added {
    /// Instructions and allocations with their signs.
    fn texts(self) -> (String, String) {
        let sign = if self.instructions >= 0 { "+" } else { "" };
        (format!("{sign}{}", thousands(self.instructions)), format!("{:+.2}", self.allocations))
    }
}

/// The part by which instructions may rise above the baseline. Compilers, libraries and hash seeds move them a little.
const TOLERATED_RISE: f64 = 0.03;
/// Allocations do not vary, except for those that happen once for many requests.
const TOLERATED_ALLOCATIONS: f64 = 0.05;

/// Costs by route and variant.
#[derive(Default)]
pub(crate) struct Report {
    costs: BTreeMap<String, BTreeMap<String, Cost>>,
}

/// The committed costs.
pub(crate) fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

impl Report {
    /// The committed costs.
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

    fn cost(&self, route: Route, variant: Variant) -> Option<Cost> {
        self.costs.get(route.as_str())?.get(variant.as_str()).copied()
    }

    /// What a variant adds to the bare router.
    fn added(&self, route: Route, variant: Variant) -> Option<Added> {
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

    /// Prints the table.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let mut row = |cells: [&str; 6]| {
            let [route, variant, instructions, more_instructions, allocations, more_allocations] = cells;
            writeln!(
                out,
                "{route:<12}{variant:<18}{instructions:>14}{more_instructions:>12}{allocations:>14}{more_allocations:>10}"
            )
        };
        row(["route", "variant", "instructions", "added", "allocations", "added"])?;
        for route in Route::ALL {
            for variant in Variant::ALL {
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
                ])?;
            }
        }
        let (instructions, allocations) = LIMIT.texts();
        row(["no_op_json", "at most", "", &instructions, "", &allocations])?;
        writeln!(out, "\nPer request, over all threads. `at most` is for all_signals.")?;
        Ok(())
    }

    /// What all signals may not add to the no-op JSON route.
    pub(crate) fn exceeded_limits(&self) -> Vec<String> {
        let Some(added) = self.added(Route::NoOpJson, Variant::AllSignals) else { return Vec::new() };
        let mut problems = Vec::new();
        if added.instructions > LIMIT.instructions {
            let (added, limit) = (thousands(added.instructions), thousands(LIMIT.instructions));
            problems.push(format!(
                "no_op_json: all signals add {added} instructions; at most {limit} are allowed"
            ));
        }
        if added.allocations > LIMIT.allocations {
            let (added, limit) = (added.allocations, LIMIT.allocations);
            problems.push(format!(
                "no_op_json: all signals add {added} allocations; at most {limit} are allowed"
            ));
        }
        problems
    }

    /// What costs more than in `baseline`. Routes that use the database are left out: packets arrive as they like.
    pub(crate) fn rises_above(&self, baseline: &Self) -> Vec<String> {
        let mut problems = Vec::new();
        for route in Route::ALL.iter().filter(|route| !route.needs_database()) {
            for variant in Variant::ALL {
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

/// Says what is too expensive.
pub(crate) fn print_problems(problems: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for problem in problems {
        writeln!(out, "TOO EXPENSIVE: {problem}.")?;
    }
    Ok(())
}

/// The number with its digits in groups of three.
fn thousands(number: i64) -> String {
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
