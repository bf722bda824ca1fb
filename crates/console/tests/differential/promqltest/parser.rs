//! Parser of the subset of PromQL that the expression tree supports. Other syntax is an error that names it.

use std::time::Duration;

use monitoring::query::{
    Aggregation, Expression, HistogramFunction, MatchOperator, Matcher, Operator, RangeFunction, Selection,
    Source, Window,
};

use super::lexer::{Token, tokens};

type Parsed<T> = Result<T, String>;

pub(crate) fn parse(text: &str) -> Parsed<Expression> {
    let mut parser = Parser { tokens: tokens(text)?, position: 0 };
    let expression = parser.binary(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(format!("{token:?} is not supported here")),
    }
}

/// Parses a metric with labels.
pub(crate) fn parse_series(text: &str) -> Parsed<Selection> {
    let mut parser = Parser { tokens: tokens(text)?, position: 0 };
    parser.selection()
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

/// Binary operators in ascending order of precedence.
const OPERATORS: &[&[(&str, Operator)]] = &[
    &[("or", Operator::Or)],
    &[("and", Operator::And), ("unless", Operator::Unless)],
    &[("==", Operator::Equals), (">", Operator::Above), (">=", Operator::AtLeast), ("<", Operator::Below)],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Times), ("/", Operator::DividedBy)],
];

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Parsed<Token> {
        let token = self.peek().cloned().ok_or("the expression ends early")?;
        self.position += 1;
        Ok(token)
    }

    fn takes(&mut self, text: &str) -> bool {
        let found = match self.peek() {
            Some(Token::Symbol(symbol)) => *symbol == text,
            Some(Token::Name(name)) => name.eq_ignore_ascii_case(text),
            _ => false,
        };
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, text: &str) -> Parsed<()> {
        if self.takes(text) { Ok(()) } else { Err(format!("{:?} is not supported here", self.peek())) }
    }

    fn binary(&mut self, level: usize) -> Parsed<Expression> {
        let Some(operators) = OPERATORS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        'next: loop {
            for (text, operator) in *operators {
                if self.takes(text) {
                    let on = if self.takes("on") { Some(self.names()?) } else { None };
                    for word in ["ignoring", "bool", "group_left", "group_right", "fill", "fill_left"] {
                        if self.takes(word) {
                            return Err(format!("{word} is not supported"));
                        }
                    }
                    let right = self.binary(level + 1)?;
                    left = match on {
                        Some(on) => left.binary_on(*operator, on, right),
                        None => left.binary(*operator, right),
                    };
                    continue 'next;
                }
            }
            return Ok(left);
        }
    }

    fn names(&mut self) -> Parsed<Vec<String>> {
        self.expect("(")?;
        let mut names = Vec::new();
        while !self.takes(")") {
            match self.next()? {
                Token::Name(name) | Token::Text(name) => names.push(name),
                token => return Err(format!("{token:?} is not a label")),
            }
            self.takes(",");
        }
        Ok(names)
    }

    fn unary(&mut self) -> Parsed<Expression> {
        if self.takes("-") {
            return match self.unary()? {
                Expression::Number(number) => Ok(Expression::Number(-number)),
                _ => Err("the unary minus is not supported".to_owned()),
            };
        }
        if self.takes("+") {
            return self.unary();
        }
        if self.takes("(") {
            let inside = self.binary(0)?;
            self.expect(")")?;
            return self.end(inside.in_parentheses());
        }
        match self.peek().cloned() {
            Some(Token::Number(number)) => {
                self.position += 1;
                Ok(Expression::Number(number))
            }
            Some(Token::Name(name)) => {
                let next = self.tokens.get(self.position + 1);
                let aggregates = aggregation(&name).is_some();
                let called = next == Some(&Token::Symbol("("))
                    || (aggregates && matches!(next, Some(Token::Name(word)) if word == "by"));
                if called {
                    self.position += 1;
                    let call = self.call(&name)?;
                    return self.end(call);
                }
                let (selection, window) = self.selected()?;
                if window.is_some() {
                    return Err("a window without a function is not supported".to_owned());
                }
                Ok(Expression::Instant(selection))
            }
            token => Err(format!("{token:?} is not supported")),
        }
    }

    /// Rejects suffixes of expressions that the tree does not support.
    fn end(&self, expression: Expression) -> Parsed<Expression> {
        match self.peek() {
            Some(Token::Symbol("[" | "@")) => Err("subqueries are not supported".to_owned()),
            _ => Ok(expression),
        }
    }

    fn call(&mut self, name: &str) -> Parsed<Expression> {
        if let Some(aggregation) = aggregation(name) {
            return self.aggregate(aggregation);
        }
        self.expect("(")?;
        if let Some(function) = range_function(name) {
            let (of, window) = self.selected()?;
            let window = window.ok_or("a function of something else than a window is not supported")?;
            let function = match function {
                RangeFunction::Predict(_) => RangeFunction::Predict(self.argument()? as u64),
                other => other,
            };
            self.expect(")")?;
            let window = Window::Fixed(Duration::from_millis(window));
            return Ok(Expression::Range { function, of, window });
        }
        let expression = match name {
            "time" => Expression::Time,
            "vector" => Expression::Constant(self.number()?),
            "timestamp" => {
                let (selection, _) = self.selected()?;
                Expression::Timestamp(selection)
            }
            "histogram_count" => self.binary(0)?.histogram(HistogramFunction::Count),
            "histogram_sum" => self.binary(0)?.histogram(HistogramFunction::Sum),
            "histogram_quantile" => {
                let share = self.number()?;
                self.expect(",")?;
                self.binary(0)?.histogram(HistogramFunction::Quantile(share))
            }
            "histogram_fraction" => {
                let above = self.number()?;
                self.expect(",")?;
                if self.number()? != f64::INFINITY {
                    return Err("a fraction within two limits is not supported".to_owned());
                }
                self.expect(",")?;
                self.binary(0)?.histogram(HistogramFunction::FractionAbove(above))
            }
            "label_replace" => self.label_replace()?,
            _ => return Err(format!("{name} is not supported")),
        };
        self.expect(")")?;
        Ok(expression)
    }

    fn label_replace(&mut self) -> Parsed<Expression> {
        let of = self.binary(0)?;
        let mut texts = Vec::new();
        while self.takes(",") {
            match self.next()? {
                Token::Text(text) => texts.push(text),
                token => return Err(format!("{token:?} is not a text")),
            }
        }
        match texts.as_slice() {
            [label, value, source, pattern]
                if source.is_empty() && pattern.is_empty() && !value.contains('$') =>
            {
                Ok(of.labelled(label.clone(), value))
            }
            _ => Err("label_replace with a pattern is not supported".to_owned()),
        }
    }

    fn aggregate(&mut self, aggregation: Aggregation) -> Parsed<Expression> {
        let mut by = if self.takes("by") { Some(self.names()?) } else { None };
        self.expect("(")?;
        let aggregation = match aggregation {
            Aggregation::Largest(_) => {
                let most = self.number()?;
                self.expect(",")?;
                if !(0.0..=255.0).contains(&most) {
                    return Err("topk of that many is not supported".to_owned());
                }
                Aggregation::Largest(most as u8)
            }
            other => other,
        };
        let of = self.binary(0)?;
        self.expect(")")?;
        if self.takes("by") {
            by = Some(self.names()?);
        }
        if self.takes("without") {
            return Err("without is not supported".to_owned());
        }
        Ok(of.aggregate(aggregation, by.unwrap_or_default()))
    }

    fn argument(&mut self) -> Parsed<f64> {
        self.expect(",")?;
        self.number()
    }

    fn number(&mut self) -> Parsed<f64> {
        match self.unary()? {
            Expression::Number(number) => Ok(number),
            _ => Err("an argument that is not a number is not supported".to_owned()),
        }
    }

    /// Parses a selection with its window.
    fn selected(&mut self) -> Parsed<(Selection, Option<u64>)> {
        let mut selection = self.selection()?;
        let mut window = None;
        if self.takes("[") {
            window = Some(self.duration()?);
            self.expect("]")?;
        }
        loop {
            if self.takes("offset") {
                selection.offset = Some(Duration::from_millis(self.duration()?));
            } else if self.takes("@") {
                self.expect("end")?;
                self.expect("(")?;
                self.expect(")")?;
                selection.at_end = true;
            } else {
                break;
            }
        }
        for word in ["anchored", "smoothed"] {
            if self.takes(word) {
                return Err(format!("{word} is not supported"));
            }
        }
        Ok((selection, window))
    }

    fn duration(&mut self) -> Parsed<u64> {
        match self.next()? {
            Token::Duration(duration) => Ok(duration),
            Token::Number(seconds) => Ok((seconds * 1000.0) as u64),
            token => Err(format!("{token:?} as a duration is not supported")),
        }
    }

    fn selection(&mut self) -> Parsed<Selection> {
        let Token::Name(name) = self.next()? else { return Err("no metric".to_owned()) };
        let mut matchers = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                matchers.push(self.matcher()?);
                self.takes(",");
            }
        }
        Ok(Selection { name, source: Source::Application, matchers, offset: None, at_end: false })
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        let (Token::Name(label) | Token::Text(label)) = self.next()? else {
            return Err("no label".to_owned());
        };
        let operator = match self.next()? {
            Token::Symbol("=") => MatchOperator::Equal,
            Token::Symbol("!=") => MatchOperator::NotEqual,
            Token::Symbol("=~") => MatchOperator::Matches,
            Token::Symbol("!~") => MatchOperator::MatchesNot,
            token => return Err(format!("{token:?} is not a comparison")),
        };
        let Token::Text(value) = self.next()? else { return Err("no value".to_owned()) };
        Ok(Matcher { label, operator, value })
    }
}

fn aggregation(name: &str) -> Option<Aggregation> {
    match name.to_ascii_lowercase().as_str() {
        "sum" => Some(Aggregation::Sum),
        "min" => Some(Aggregation::Min),
        "max" => Some(Aggregation::Max),
        "count" => Some(Aggregation::Count),
        "topk" => Some(Aggregation::Largest(0)),
        _ => None,
    }
}

fn range_function(name: &str) -> Option<RangeFunction> {
    match name {
        "rate" => Some(RangeFunction::Rate),
        "increase" => Some(RangeFunction::Increase),
        "avg_over_time" => Some(RangeFunction::Average),
        "min_over_time" => Some(RangeFunction::Min),
        "max_over_time" => Some(RangeFunction::Max),
        "sum_over_time" => Some(RangeFunction::Sum),
        "count_over_time" => Some(RangeFunction::Count),
        "changes" => Some(RangeFunction::Changes),
        "absent_over_time" => Some(RangeFunction::Absent),
        "predict_linear" => Some(RangeFunction::Predict(0)),
        _ => None,
    }
}
