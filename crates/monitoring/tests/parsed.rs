//! An independent parser reads the text of each query back into the tree that it was rendered from.
//!
//! So the console, which evaluates the tree, and Prometheus, which reads the text, see the same query.

use std::time::Duration;

use monitoring::query::{
    Aggregation, Expression, HistogramFunction, MatchOperator, Matcher, Operator, RangeFunction, Scale,
    Selection, Source, Window,
};
use monitoring::rules::{Look, groups, recordings};
use monitoring::{dashboards, grafana};
use promql_parser::label::MatchOp;
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Call, Expr, LabelModifier, Offset, VectorSelector, parse,
};

const RATE_INTERVAL: Duration = Duration::from_mins(1);
const RANGE: Duration = Duration::from_hours(3);
const INTERVAL_MILLISECONDS: f64 = 60_000.0;

/// Replaces Grafana's variables, and the source of series, which the text does not contain.
fn as_sent(expression: &Expression) -> Expression {
    let window = |window| match window {
        Window::RateInterval => Window::Fixed(RATE_INTERVAL),
        Window::Range => Window::Fixed(RANGE),
        Window::Fixed(_) => window,
    };
    let inside = |of: &Expression| Box::new(as_sent(of));
    let series = |of: &Selection| Selection { source: Source::Other, ..of.clone() };
    match expression {
        Expression::Number(_) | Expression::Time | Expression::Constant(_) => expression.clone(),
        Expression::IntervalMilliseconds => Expression::Number(INTERVAL_MILLISECONDS),
        Expression::Instant(of) => Expression::Instant(series(of)),
        Expression::Timestamp(of) => Expression::Timestamp(series(of)),
        Expression::Range { function, of, window: over } => {
            Expression::Range { function: *function, of: series(of), window: window(*over) }
        }
        Expression::Histogram { function, of } => {
            Expression::Histogram { function: *function, of: inside(of) }
        }
        Expression::Labelled { of, label, value } => {
            Expression::Labelled { of: inside(of), label: label.clone(), value: value.clone() }
        }
        Expression::Aggregate { aggregation, by, of } => {
            Expression::Aggregate { aggregation: *aggregation, by: by.clone(), of: inside(of) }
        }
        Expression::Binary { left, operator, on, right } => Expression::Binary {
            left: inside(left),
            operator: *operator,
            on: on.clone(),
            right: inside(right),
        },
        Expression::Parentheses(of) => Expression::Parentheses(inside(of)),
    }
}

fn read(parsed: &Expr) -> Expression {
    match parsed {
        Expr::NumberLiteral(number) => Expression::Number(number.val),
        Expr::VectorSelector(selector) => Expression::Instant(selection(selector)),
        Expr::Paren(inside) => read(&inside.expr).in_parentheses(),
        Expr::Aggregate(aggregate) => aggregation(aggregate),
        Expr::Binary(binary) => operation(binary),
        Expr::Call(call) => function(call),
        other => panic!("the tree has nothing like {other}"),
    }
}

fn selection(selector: &VectorSelector) -> Selection {
    assert!(selector.matchers.or_matchers.is_empty());
    let matcher = |matcher: &promql_parser::label::Matcher| {
        let operator = match matcher.op {
            MatchOp::Equal => MatchOperator::Equal,
            MatchOp::NotEqual => MatchOperator::NotEqual,
            MatchOp::Re(_) => MatchOperator::Matches,
            MatchOp::NotRe(_) => MatchOperator::MatchesNot,
        };
        Matcher::new(&matcher.name, operator, &matcher.value)
    };
    let offset = selector.offset.as_ref().map(|offset| match offset {
        Offset::Pos(ago) => *ago,
        Offset::Neg(_) => panic!("an offset into the future"),
    });
    Selection {
        name: selector.name.clone().expect("a metric"),
        source: Source::Other,
        matchers: selector.matchers.matchers.iter().map(matcher).collect(),
        offset,
        at_end: selector.at.as_ref().is_some_and(|at| matches!(at, AtModifier::End)),
    }
}

fn labels(modifier: Option<&LabelModifier>) -> Option<Vec<String>> {
    modifier.map(|modifier| match modifier {
        LabelModifier::Include(labels) => labels.labels.clone(),
        LabelModifier::Exclude(_) => panic!("the tree has neither `ignoring` nor `without`"),
    })
}

fn aggregation(aggregate: &AggregateExpr) -> Expression {
    let function = match (aggregate.op.to_string().as_str(), aggregate.param.as_deref()) {
        ("sum", None) => Aggregation::Sum,
        ("min", None) => Aggregation::Min,
        ("max", None) => Aggregation::Max,
        ("count", None) => Aggregation::Count,
        ("topk", Some(Expr::NumberLiteral(most))) => Aggregation::Largest(most.val as u8),
        (other, _) => panic!("the tree has no {other}"),
    };
    read(&aggregate.expr).aggregate(function, labels(aggregate.modifier.as_ref()).unwrap_or_default())
}

fn operation(binary: &BinaryExpr) -> Expression {
    let operator = match binary.op.to_string().as_str() {
        "+" => Operator::Plus,
        "-" => Operator::Minus,
        "*" => Operator::Times,
        "/" => Operator::DividedBy,
        ">" => Operator::Above,
        ">=" => Operator::AtLeast,
        "<" => Operator::Below,
        "==" => Operator::Equals,
        "and" => Operator::And,
        "or" => Operator::Or,
        "unless" => Operator::Unless,
        other => panic!("the tree has no {other}"),
    };
    let on = binary.modifier.as_ref().and_then(|modifier| labels(modifier.matching.as_ref()));
    let (left, right) = (Box::new(read(&binary.lhs)), Box::new(read(&binary.rhs)));
    Expression::Binary { left, operator, on, right }
}

fn function(call: &Call) -> Expression {
    let arguments: Vec<&Expr> = call.args.args.iter().map(AsRef::as_ref).collect();
    let range = |function| match arguments[0] {
        Expr::MatrixSelector(matrix) => {
            Expression::Range { function, of: selection(&matrix.vs), window: Window::Fixed(matrix.range) }
        }
        other => panic!("{other} is not read over a window"),
    };
    let number = |argument: usize| match arguments[argument] {
        Expr::NumberLiteral(number) => number.val,
        other => panic!("{other} is not a number"),
    };
    let text = |argument: usize| match arguments[argument] {
        Expr::StringLiteral(text) => text.val.as_str(),
        other => panic!("{other} is not a text"),
    };
    let histogram = |function, of: usize| read(arguments[of]).histogram(function);
    match call.func.name {
        "rate" => range(RangeFunction::Rate),
        "increase" => range(RangeFunction::Increase),
        "avg_over_time" => range(RangeFunction::Average),
        "min_over_time" => range(RangeFunction::Min),
        "max_over_time" => range(RangeFunction::Max),
        "sum_over_time" => range(RangeFunction::Sum),
        "count_over_time" => range(RangeFunction::Count),
        "changes" => range(RangeFunction::Changes),
        "absent_over_time" => range(RangeFunction::Absent),
        "predict_linear" => range(RangeFunction::Predict(number(1) as u64)),
        "time" => Expression::Time,
        "vector" => Expression::Constant(number(0)),
        "timestamp" => match arguments[0] {
            Expr::VectorSelector(selector) => Expression::Timestamp(selection(selector)),
            other => panic!("{other} is more than a selection"),
        },
        "histogram_count" => histogram(HistogramFunction::Count, 0),
        "histogram_sum" => histogram(HistogramFunction::Sum, 0),
        "histogram_quantile" => histogram(HistogramFunction::Quantile(number(0)), 1),
        "histogram_fraction" => {
            assert!(number(1).is_infinite());
            histogram(HistogramFunction::FractionAbove(number(0)), 2)
        }
        "label_replace" => {
            assert_eq!((text(3), text(4)), ("", ""));
            read(arguments[0]).labelled(text(1).to_owned(), text(2))
        }
        other => panic!("the tree has no {other}"),
    }
}

/// Every query of panels, recordings, alerts and the runbook.
fn all() -> Vec<Expression> {
    let mut all = Vec::new();
    for (_, dashboard) in dashboards::all() {
        let targets = dashboard.panels().flat_map(|panel| panel.targets());
        for target in targets {
            if let grafana::Query::Series { expression, .. } = target.query() {
                all.push(expression.clone());
            }
            if let grafana::Query::Series { expression, .. } = target.narrowed(dashboard.choices) {
                all.push(expression);
            }
        }
    }
    for scale in [Scale::REAL, Scale::faster(30)] {
        all.extend(recordings(scale).rules.into_iter().map(|rule| rule.expression));
        for alert in groups(scale).into_iter().flat_map(|group| group.alerts) {
            all.push(alert.condition);
            all.extend(alert.runbook.confirm.into_iter().filter_map(|look| match look {
                Look::Metrics(_, expression) => Some(expression),
                Look::Logs(..) | Look::Traces(..) => None,
            }));
        }
    }
    all
}

#[test]
fn a_text_is_read_as_the_tree_that_it_was_rendered_from() {
    let all = all();
    assert!(all.len() > 500, "only {} queries were found", all.len());
    for expression in all {
        let sent = as_sent(&expression);
        let text = sent.to_string();
        let parsed = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(read(&parsed), sent, "{text}");
    }
}
