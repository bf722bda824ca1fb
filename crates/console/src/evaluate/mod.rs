//! Evaluation of the expressions of panels and rules over stored series.
