//! Tests of the program as operators run it: a process with environment variables, listeners, signals and an
//! exit code.

mod api_fuzzing;
mod blob_outage;
mod broken_collectors;
mod configuration;
mod conventions;
mod crowds;
mod database_limits;
mod database_outage;
mod database_roles;
mod dead_letters;
mod doctor;
mod drain;
mod erase_user;
mod first_metrics;
mod gauges;
mod gone_clients;
mod hostile_clients;
mod killed_console;
mod killed_workers;
mod limits;
mod operations;
mod operator;
mod own_files;
mod poolers;
mod proxies;
mod raw_connection;
mod refused_bodies;
mod rolling_restart;
mod schema_version;
mod series;
mod signals;
mod telemetry_over_otlp;
mod trace_context;
mod wrong_databases;
