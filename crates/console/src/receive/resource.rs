//! Labels of series that come from the sending process.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use signal::names::SERVICE_INSTANCE_ID;

use super::names::label_name;
use crate::store::metrics::{Labels, Origin};

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";

/// Attributes of the process that become labels of all its series, as in `promote_resource_attributes` of the
/// Prometheus in `deploy/`.
const PROMOTED: &[&str] = &["deployment.environment.name"];

/// Attributes that form `job` and `instance`.
const IDENTIFYING: &[&str] = &[SERVICE_NAMESPACE, SERVICE_NAME, SERVICE_INSTANCE_ID];

type Label = (Arc<str>, Arc<str>);

/// The process that sent a request.
pub(super) struct Sender {
    origin: Origin,
    /// Labels `job` and `instance`, if the process has them.
    identity: Vec<Label>,
    promoted: Vec<Label>,
    others: Vec<Label>,
}

impl Sender {
    pub(super) fn new(resource: Option<&Resource>) -> Self {
        let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
        let get = |name: &str| attributes.iter().find(|attribute| attribute.key == name).map(text_of);
        let job = get(SERVICE_NAME).map(|name| match get(SERVICE_NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let instance = get(SERVICE_INSTANCE_ID);
        let origin = Origin::process(job.clone().unwrap_or_default(), instance.clone().unwrap_or_default());
        let identity = [("job", job), ("instance", instance)];
        let identity = identity.into_iter().filter_map(|(name, value)| Some((name.into(), value?.into())));
        let others = attributes.iter().filter(|attribute| !IDENTIFYING.contains(&attribute.key.as_str()));
        let promoted = attributes.iter().filter(|attribute| PROMOTED.contains(&attribute.key.as_str()));
        Self { origin, identity: identity.collect(), promoted: renamed(promoted), others: renamed(others) }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the labels of a series with these attributes. The labels of the process replace those
    /// of the same name, except for promoted ones.
    pub(super) fn labels(&self, attributes: &[KeyValue]) -> Labels {
        let mut labels = renamed(attributes.iter());
        for label in &self.promoted {
            if labels.iter().all(|(name, _)| *name != label.0) {
                labels.push(label.clone());
            }
        }
        labels.retain(|(name, _)| self.identity.iter().all(|(replaced, _)| replaced != name));
        labels.extend(self.identity.iter().cloned());
        Labels::new(labels)
    }

    /// Returns the labels of `target_info`, which has all attributes of the process. A process without a name
    /// or without other attributes has no such series.
    pub(super) fn target_info(&self) -> Option<Labels> {
        if self.identity.is_empty() || self.others.is_empty() {
            return None;
        }
        let mut labels = self.others.clone();
        labels.retain(|(name, _)| self.identity.iter().all(|(replaced, _)| replaced != name));
        labels.extend(self.identity.iter().cloned());
        Some(Labels::new(labels))
    }
}

/// Converts attributes to labels. If several attributes get the same name, their values are joined in the
/// order of the original names.
fn renamed<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Vec<Label> {
    let mut attributes: Vec<&KeyValue> = attributes.collect();
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    let mut labels: Vec<(String, String)> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let Some(name) = label_name(&attribute.key) else { continue };
        let value = text_of(attribute);
        match labels.iter_mut().find(|(existing, _)| *existing == name) {
            Some((_, joined)) => {
                joined.push(';');
                joined.push_str(&value);
            }
            None => labels.push((name, value)),
        }
    }
    labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Returns the value of an attribute as a label value. Lists and maps become JSON; bytes are omitted.
fn text_of(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => {
            attribute.value.as_ref().map_or_else(String::new, |value| json_of(value).to_string())
        }
        Some(_) | None => String::new(),
    }
}

fn json_of(value: &AnyValue) -> serde_json::Value {
    match &value.value {
        Some(Value::StringValue(text)) => text.as_str().into(),
        Some(Value::BoolValue(flag)) => (*flag).into(),
        Some(Value::IntValue(number)) => (*number).into(),
        Some(Value::DoubleValue(number)) => (*number).into(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(json_of).collect(),
        Some(Value::KvlistValue(map)) => {
            let pair = |pair: &KeyValue| {
                (pair.key.clone(), pair.value.as_ref().map_or(serde_json::Value::Null, json_of))
            };
            serde_json::Value::Object(map.values.iter().map(pair).collect())
        }
        Some(_) | None => serde_json::Value::Null,
    }
}
