//! Lists as OpenSLO writes them: one for many, and nothing for none.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::yaml::Json;

/// A string, or a list of strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use crate::yaml::Kind as Written;
        let Json(node) = Json::deserialize(deserializer)?;
        let texts: Option<Vec<String>> = match &node.kind {
            Written::List(items) => items.iter().map(|item| item.scalar().map(str::to_owned)).collect(),
            Written::Null
            | Written::Bool(..)
            | Written::Int(..)
            | Written::Float(..)
            | Written::Text(_)
            | Written::Map(_) => node.scalar().map(|text| vec![text.to_owned()]),
        };
        let wrong = de::Unexpected::Other(node.describe());
        texts.map(Self).ok_or_else(|| de::Error::invalid_type(wrong, &"text or a list of texts"))
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

/// A list; a key with nothing after it is an empty one, as in OpenSLO's own examples.
#[derive(Debug)]
pub(super) struct ListOrNothing<T>(pub(super) Vec<T>);

impl<T> Default for ListOrNothing<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ListOrNothing<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyList<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyList<T> {
            type Value = ListOrNothing<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E: de::Error>(self) -> Result<ListOrNothing<T>, E> {
                Ok(ListOrNothing::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ListOrNothing<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(ListOrNothing(list))
            }
        }

        deserializer.deserialize_any(AnyList(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for ListOrNothing<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("ListOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "null"], "items": generator.subschema_for::<T>() })
    }
}
