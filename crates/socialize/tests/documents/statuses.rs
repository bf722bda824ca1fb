//! Compares the error statuses that the API document lists for each route with those that its extractors and
//! its handler can produce.
//!
//! It follows calls through the sources, from the extractors and the handler to the codes of errors. A method
//! is followed only if the route can hold a value of its type. This overestimates the possible statuses, so
//! no documented status is rejected wrongly. The opposite mistake, a response that is not documented, fails
//! in every test that receives one (`crates/test-support/src/contract.rs`).

use std::collections::{BTreeMap, BTreeSet};

use catalogue::labels::ErrorCode;
use telemetry::ClosedSet;

use crate::sources::{File, Function, Program, files, group, types};

/// Statuses of every route: it can panic, and exceed its time limit.
const OF_EVERY_ROUTE: [u16; 2] = [500, 503];

/// Permissions that no member lacks.
const OF_EVERYBODY: [&str; 2] = ["Member", "OrganizationRoleAny"];

/// A route with its handler.
struct Route {
    method: String,
    path: String,
    handler: usize,
}

/// Finds the handlers by their attribute, which names method and path first.
fn routes(files: &[File], program: &Program) -> Vec<Route> {
    let mut routes = Vec::new();
    for tokens in files.iter().map(|file| &file.tokens) {
        for position in 0..tokens.len() {
            if tokens[position..].starts_with(&["utoipa", "::", "path", "("].map(str::to_owned)) {
                let attribute = group(&tokens[position + 3..]);
                let after = &tokens[position + 3 + attribute.len()..];
                let name = after.iter().position(|token| token == "fn").expect("a handler") + 1;
                let is_handler = |function: &Function| {
                    function.name == after[name] && after[name + 1..].starts_with(&function.signature[2..])
                };
                let handler = program.functions.iter().position(is_handler).expect("the handler");
                let path = attribute[5].trim_matches('"').to_owned();
                routes.push(Route { method: attribute[1].clone(), path, handler });
            }
        }
    }
    routes
}

/// Returns whether a function can return an error of the API.
fn can_fail(function: &Function) -> bool {
    let is_error = |position: usize| {
        function.signature[position] == "Error" && (position == 0 || function.signature[position - 1] != "::")
    };
    let is_constructor = || function.owner.as_deref() == Some("Error") && names(&function.signature, "Self");
    (0..function.signature.len()).any(is_error) || is_constructor()
}

fn names(tokens: &[String], name: &str) -> bool {
    tokens.iter().any(|token| token == name)
}

/// Conversions of other error types to API errors by `?` and `into`, by type.
fn conversions(program: &Program) -> Vec<(&str, usize)> {
    let from = program.methods("Error", "from");
    let argument = |index: usize| types(&program.functions[index].signature).rfind(|name| *name != "Self");
    from.filter_map(|index| Some((argument(index)?, index))).collect()
}

/// Returns whether this call is never made on this route although its extractor contains it.
fn is_left_out(route: &Route, handler: &Function, caller: &Function, called: &str) -> bool {
    let is_extractor = caller.name == "from_request_parts";
    match (caller.owner.as_deref(), called) {
        (Some("CurrentUser"), "count_write") => is_extractor && route.method == "get",
        (Some(member @ ("WorkspaceMember" | "OrganizationMember")), "forbidden") => {
            let named = handler.signature.iter().position(|token| token == member).expect("the extractor");
            let has_permission = handler.signature[named + 1] == "<";
            is_extractor && (!has_permission || OF_EVERYBODY.contains(&&*handler.signature[named + 2]))
        }
        _ => false,
    }
}

/// Returns the error statuses that a route can answer.
fn possible(program: &Program, route: &Route) -> BTreeSet<u16> {
    let handler = &program.functions[route.handler];
    let mut held: BTreeSet<String> = types(&handler.signature).map(str::to_owned).collect();
    let extracting = ["from_request", "from_request_parts"];
    let methods = |owner| extracting.iter().flat_map(move |name| program.methods(owner, name));
    let extractors = types(&handler.signature).flat_map(methods);
    let mut reached: BTreeSet<usize> = extractors.chain([route.handler]).collect();
    let conversions = conversions(program);
    let converting = |tokens: &[String]| {
        let named = conversions.iter().filter(|(name, _)| names(tokens, name));
        named.map(|(_, index)| *index).collect::<Vec<_>>()
    };
    let mut codes = BTreeSet::new();
    loop {
        let before = (held.len(), reached.len());
        program.close(&mut held);
        for index in reached.clone() {
            let function = &program.functions[index];
            held.extend(types(&function.body).map(str::to_owned));
            reached.extend(converting(&function.body));
            let named = function.body.windows(3).filter(|tokens| tokens[0] == "ErrorCode");
            codes.extend(named.map(|tokens| tokens[2].clone()));
            for position in &function.calls {
                for called in program.called(function, *position, &held) {
                    let target = &program.functions[called];
                    if is_left_out(route, handler, function, &target.name) {
                        continue;
                    }
                    held.extend(types(&target.signature).map(str::to_owned));
                    reached.extend(converting(&target.signature));
                    if can_fail(target) {
                        reached.insert(called);
                    }
                }
            }
        }
        if (held.len(), reached.len()) == before {
            break;
        }
    }
    let found = ErrorCode::ALL.iter().filter(|code| codes.contains(&format!("{code:?}")));
    found.map(|code| socialize::http::error::status(*code).as_u16()).chain(OF_EVERY_ROUTE).collect()
}

/// The error statuses of each operation in the API document.
fn documented() -> BTreeMap<(String, String), BTreeSet<u16>> {
    let document = serde_json::to_value(socialize::run::router::document()).expect("a document");
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let statuses = operation["responses"].as_object().expect("responses").keys();
            let errors =
                statuses.map(|status| status.parse().expect("a status")).filter(|status| *status >= 400);
            operations.insert((method.clone(), path.clone()), errors.collect());
        }
    }
    operations
}

#[test]
fn a_documented_status_can_be_answered() {
    let files = files(&["domain", "socialize"]);
    let program = Program::of(&files);
    let mut documented = documented();
    let mut mistakes = Vec::new();
    for route in routes(&files, &program) {
        let operation = (route.method.clone(), route.path.clone());
        let statuses = documented.remove(&operation).expect("a documented route");
        let possible = possible(&program, &route);
        let impossible: Vec<_> = statuses.difference(&possible).collect();
        if !impossible.is_empty() {
            mistakes.push(format!("{} {}: {impossible:?}", route.method, route.path));
        }
    }
    assert!(documented.is_empty(), "routes without a handler in the sources: {documented:?}");
    assert!(mistakes.is_empty(), "nothing that these routes call answers with\n{}", mistakes.join("\n"));
}
