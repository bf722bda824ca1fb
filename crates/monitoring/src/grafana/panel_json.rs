//! Grafana's JSON of a panel.

use serde::Serialize;

use super::color::{ColorMode, Thresholds};
use super::data_source::DataSourceRef;
use super::options::{Custom, Options};
use super::target::TargetJson;
use super::{Link, Mapping, Override, Period, Transformation, Unit};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PanelJson<'a> {
    pub(super) id: u16,
    pub(super) r#type: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) grid_pos: GridPosition,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datasource: Option<DataSourceRef>,
    pub(super) targets: Vec<TargetJson>,
    pub(super) field_config: FieldConfig<'a>,
    pub(super) options: Options,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) transformations: &'a [Transformation],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<Period>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time_from: Option<Period>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<PanelLink<'a>>,
}

#[derive(Serialize)]
pub(super) struct GridPosition {
    pub(super) h: u8,
    pub(super) w: u8,
    pub(super) x: u8,
    pub(super) y: u16,
}

#[derive(Serialize)]
pub(super) struct FieldConfig<'a> {
    pub(super) defaults: Defaults<'a>,
    pub(super) overrides: &'a [Override],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Defaults<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<Unit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decimals: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_value: Option<&'static str>,
    pub(super) color: &'a ColorMode,
    pub(super) thresholds: &'a Thresholds,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) mappings: &'a [Mapping],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) links: &'a [Link],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<Custom>,
}

/// A link of a panel has the same form as a dashboard's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PanelLink<'a> {
    r#type: &'static str,
    title: &'a str,
    url: &'a str,
    as_dropdown: bool,
    icon: &'static str,
    include_vars: bool,
    keep_time: bool,
    tags: [&'static str; 0],
    target_blank: bool,
    tooltip: &'static str,
}

impl<'a> PanelLink<'a> {
    pub(super) fn new(link: &'a Link) -> Self {
        Self {
            r#type: "link",
            title: link.title(),
            url: link.url(),
            as_dropdown: false,
            icon: "external link",
            include_vars: false,
            keep_time: false,
            tags: [],
            target_blank: false,
            tooltip: "",
        }
    }
}
