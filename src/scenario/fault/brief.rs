//! A fault that may be written as the name of its service alone.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::finding::Findings;
use crate::yaml::{Json, Key, Kind, Node, read};

/// `web`, which is `{ service: web }`, or a `T` in full.
#[derive(Debug)]
pub(super) struct Brief<T>(Json, PhantomData<T>);

impl<T: DeserializeOwned> Brief<T> {
    /// What was written, in full.
    pub(super) fn read(self, findings: &mut Findings) -> Option<T> {
        let Json(node) = self.0;
        let node = if node.scalar().is_some() {
            let key = Key { name: "service".to_owned(), place: node.place };
            Node { place: node.place, kind: Kind::Map(vec![(key, node)]) }
        } else {
            node
        };
        findings.take_all(read(&node))
    }
}

impl<'de, T> Deserialize<'de> for Brief<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|node| Self(node, PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Brief<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let full = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, full] })
    }
}
