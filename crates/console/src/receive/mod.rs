//! Reception of metrics and spans by OTLP over HTTP.
