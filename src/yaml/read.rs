//! From a tree to the structs that mirror a file, by serde, collecting every finding on the way.
//!
//! serde stops at the first error. So after an error the broken node is set aside and the tree is read again
//! without it, until it reads or nothing new is learnt: a file's findings come all at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::tree::{Key, Kind, Node};
use crate::finding::{Code, Finding, nearest};
use crate::source::{At, Place};

/// One file shows at most this many findings of shape; a file with more is not what it claims to be.
const MOST: usize = 100;

/// Names that ask [`Reader`] for a place or a whole node instead of a plain value.
const AT: &str = "$firedrill::At";
const NODE: &str = "$firedrill::Node";

thread_local! {
    /// Hands what serde has no word for from the reader to the visitor that asked, within one call.
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
    static TREE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Any value, kept as a tree with its places: a JSON body, an expected value.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(pub Node);

/// A map in the order it was written, every key with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries<T>(pub Vec<(At<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IntoIterator for Entries<T> {
    type Item = (At<String>, T);
    type IntoIter = std::vec::IntoIter<(At<String>, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What could be read of a node.
#[derive(Debug)]
pub struct Partial<T> {
    /// The value. Where there are findings, the list items they stand in are left out of it, so that the rest
    /// can be checked further; it is not to be acted on.
    pub value: Option<T>,
    /// All that was wrong: unknown and missing keys, wrong types, malformed values.
    pub findings: Vec<Finding>,
}

/// Reads `node` as a `T`.
///
/// # Errors
/// All findings: unknown and missing keys, wrong types, malformed values.
pub fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Vec<Finding>> {
    match read_partly(node) {
        Partial { value: Some(value), findings } if findings.is_empty() => Ok(value),
        Partial { findings, .. } => Err(findings),
    }
}

/// Reads what can be read of `node` as a `T`.
#[must_use]
pub fn read_partly<T: DeserializeOwned>(node: &Node) -> Partial<T> {
    let notes = Notes::default();
    loop {
        let error = match T::deserialize(Reader { node, notes: &notes }) {
            Ok(value) if notes.findings.borrow().is_empty() => {
                return Partial { value: Some(value), findings: Vec::new() };
            }
            Ok(_) => break,
            Err(error) => error,
        };
        let place = error.place.unwrap_or(node.place);
        // A key that was set aside is not missing.
        if !(error.missing && notes.set_aside_within(place)) {
            notes.add(error.into_finding(place));
        }
        let fresh = notes.set_aside(place);
        if !fresh || place == node.place || notes.full() {
            break;
        }
    }
    notes.without_broken_items.set(true);
    let value = T::deserialize(Reader { node, notes: &notes }).ok();
    Partial { value, findings: notes.into_findings() }
}

/// What was learnt so far.
#[derive(Default)]
struct Notes {
    findings: RefCell<BTreeMap<(Place, Code), Finding>>,
    aside: RefCell<Vec<Place>>,
    /// In the last reading, list items with a finding in them are left out.
    without_broken_items: Cell<bool>,
}

impl Notes {
    fn add(&self, finding: Finding) {
        self.findings.borrow_mut().entry((finding.place, finding.code)).or_insert(finding);
    }

    fn full(&self) -> bool {
        self.findings.borrow().len() >= MOST
    }

    fn is_aside(&self, place: Place) -> bool {
        self.aside.borrow().contains(&place)
    }

    /// Whether a list item is left out.
    fn skips(&self, item: Place) -> bool {
        let broken = || {
            let findings = self.findings.borrow();
            // Findings stand in the order of their places.
            let first = (item.file.place(item.start as usize, 0), Code::ALL[0]);
            let mut inner = findings.range(first..).take_while(|((place, _), _)| place.start <= item.end);
            inner.any(|((place, _), _)| place.end <= item.end)
        };
        self.is_aside(item) || (self.without_broken_items.get() && broken())
    }

    fn set_aside_within(&self, outer: Place) -> bool {
        self.aside.borrow().iter().any(|inner| outer.start <= inner.start && inner.end <= outer.end)
    }

    fn set_aside(&self, place: Place) -> bool {
        let fresh = !self.is_aside(place);
        self.aside.borrow_mut().push(place);
        fresh
    }

    fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner().into_values().collect()
    }
}

/// Why a node is not what was wanted.
#[derive(Debug)]
struct Error {
    place: Option<Place>,
    code: Code,
    title: String,
    missing: bool,
}

impl Error {
    fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    fn into_finding(self, place: Place) -> Finding {
        Finding::new(self.code, place, self.title)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: None, code: Code::FileValue, title: message.to_string(), missing: false }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self { code: Code::FileType, ..Self::custom(format_args!("expected {expected}, found {found}")) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = nearest(variant, expected.iter().copied());
        let all = expected.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let hint = hint.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        Self::custom(format_args!("`{variant}` is not one of {all}{hint}"))
    }

    fn missing_field(field: &'static str) -> Self {
        let title = format!("`{field}` is missing");
        Self { place: None, code: Code::FileMissingKey, title, missing: true }
    }
}

/// A node being read.
#[derive(Clone, Copy)]
struct Reader<'n> {
    node: &'n Node,
    notes: &'n Notes,
}

impl<'n> Reader<'n> {
    fn wrong(self, wanted: &str) -> Error {
        let title = format!("expected {wanted}, found {}", self.node.describe());
        Error { place: Some(self.node.place), code: Code::FileType, title, missing: false }
    }

    fn child(self, node: &'n Node) -> Self {
        Self { node, notes: self.notes }
    }

    /// The entries of a map that have not been set aside.
    fn entries(self, wanted: &str) -> Result<MapEntries<'n>, Error> {
        match &self.node.kind {
            Kind::Map(entries) => {
                Ok(MapEntries { rest: entries.iter(), value: None, known: &[], reader: self })
            }
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) => {
                Err(self.wrong(wanted))
            }
        }
    }

    /// Notes keys a struct does not have.
    fn note_unknown_keys(self, fields: &'static [&'static str]) {
        let Kind::Map(entries) = &self.node.kind else { return };
        for (key, _) in entries.iter().filter(|(key, _)| !fields.contains(&key.name.as_str())) {
            let finding =
                Finding::new(Code::FileUnknownKey, key.place, format!("unknown key `{}`", key.name));
            self.notes.add(match nearest(&key.name, fields.iter().copied()) {
                Some(name) => finding.label(format!("did you mean `{name}`?")),
                None => {
                    finding.label("not known here").help(format!("known keys here: {}", fields.join(", ")))
                }
            });
        }
    }
}

/// Reads whole numbers, and says which range was wanted.
macro_rules! whole_numbers {
    ($($method:ident: $number:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match &self.node.kind {
                Kind::Int(value, _) if <$number>::try_from(*value).is_ok() => self.deserialize_any(visitor),
                Kind::Int(_, text) => {
                    let title = format!("{text} is not between {} and {}", <$number>::MIN, <$number>::MAX);
                    Err(<Error as de::Error>::custom(title).at(self.node.place))
                }
                Kind::Null | Kind::Bool(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                    Err(self.wrong("a whole number"))
                }
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = self.node.place;
        match &self.node.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value, _) => visitor.visit_bool(*value),
            Kind::Int(value, _) => visitor.visit_i64(*value),
            Kind::Float(value, _) => visitor.visit_f64(*value),
            Kind::Text(text) => visitor.visit_str(text),
            Kind::List(items) => visitor.visit_seq(Items { rest: items.iter(), reader: self }),
            Kind::Map(_) => visitor.visit_map(self.entries("a map")?),
        }
        .map_err(|error| error.at(place))
    }

    /// Any scalar will do where text is wanted: `1.10` stays `1.10`.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.node.scalar().ok_or_else(|| self.wrong("text"))?;
        visitor.visit_str(text).map_err(|error: Error| error.at(self.node.place))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    /// A key that is there has a value; leaving it empty is a mistake and not an absence.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            AT => PLACE.set(Some(self.node.place)),
            NODE => TREE.set(Some(self.node.clone())),
            _ => {}
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let entries = self.entries(&format!("a map with keys like `{}`", fields.first().unwrap_or(&"")))?;
        self.note_unknown_keys(fields);
        let entries = MapEntries { known: fields, ..entries };
        visitor.visit_map(entries).map_err(|error| error.at(self.node.place))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self.entries("a map")?).map_err(|error| error.at(self.node.place))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Kind::List(items) = &self.node.kind else { return Err(self.wrong("a list")) };
        let items = Items { rest: items.iter(), reader: self };
        visitor.visit_seq(items).map_err(|error| error.at(self.node.place))
    }

    /// One of several: a word, or a map with one key.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = match &self.node.kind {
            Kind::Map(entries) if entries.len() == 1 => Variant {
                name: entries[0].0.name.clone(),
                place: entries[0].0.place,
                value: Some(self.child(&entries[0].1)),
            },
            Kind::Text(name) => Variant { name: name.clone(), place: self.node.place, value: None },
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::List(_) | Kind::Map(_) => {
                return Err(self.wrong(&format!("exactly one of `{}`", variants.join("`, `"))));
            }
        };
        visitor.visit_enum(variant).map_err(|error| error.at(self.node.place))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Bool(value, _) => visitor.visit_bool(*value),
            Kind::Null | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                Err(self.wrong("`true` or `false`"))
            }
        }
    }

    whole_numbers! {
        deserialize_u8: u8, deserialize_u16: u16, deserialize_u32: u32, deserialize_u64: u64,
        deserialize_i8: i8, deserialize_i16: i16, deserialize_i32: i32, deserialize_i64: i64,
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Int(..) | Kind::Float(..) => self.deserialize_any(visitor),
            Kind::Null | Kind::Bool(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                Err(self.wrong("a number"))
            }
        }
    }

    forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple
        tuple_struct identifier
    }
}

/// The elements of a list that have not been set aside.
struct Items<'n> {
    rest: std::slice::Iter<'n, Node>,
    reader: Reader<'n>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let notes = self.reader.notes;
        let Some(node) = self.rest.find(|node| !notes.skips(node.place)) else { return Ok(None) };
        seed.deserialize(self.reader.child(node)).map(Some).map_err(|error| error.at(node.place))
    }
}

/// The entries of a map that have not been set aside.
struct MapEntries<'n> {
    rest: std::slice::Iter<'n, (Key, Node)>,
    value: Option<&'n Node>,
    /// The keys of a struct; others were noted and are passed over. Every key, where there is none.
    known: &'static [&'static str],
    reader: Reader<'n>,
}

impl<'de> de::MapAccess<'de> for MapEntries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let notes = self.reader.notes;
        let known = |key: &Key| self.known.is_empty() || self.known.contains(&key.name.as_str());
        let next = self
            .rest
            .find(|(key, value)| known(key) && !notes.is_aside(value.place) && !notes.is_aside(key.place));
        let Some((key, value)) = next else { return Ok(None) };
        self.value = Some(value);
        let name = Node { place: key.place, kind: Kind::Text(key.name.clone()) };
        seed.deserialize(Reader { node: &name, notes }).map(Some).map_err(|error| error.at(key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.value.take().ok_or_else(|| <Error as de::Error>::custom("a value before its key"))?;
        seed.deserialize(self.reader.child(node)).map_err(|error| error.at(node.place))
    }
}

/// The word or the one key that names a variant, and its value.
struct Variant<'n> {
    name: String,
    place: Place,
    value: Option<Reader<'n>>,
}

impl<'de, 'n> de::EnumAccess<'de> for Variant<'n> {
    type Error = Error;
    type Variant = Content<'n>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Error> {
        let name: StrDeserializer<'_, Error> = self.name.as_str().into_deserializer();
        let variant = seed.deserialize(name).map_err(|error| error.at(self.place))?;
        Ok((variant, Content(self.value)))
    }
}

/// What stands under the one key that names a variant.
struct Content<'n>(Option<Reader<'n>>);

impl<'de> de::VariantAccess<'de> for Content<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.0 {
            None => Ok(()),
            Some(reader) => Err(reader.wrong("no value")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let reader =
            self.0.ok_or_else(|| <Error as de::Error>::custom("a value is missing after this word"))?;
        seed.deserialize(reader).map_err(|error| error.at(reader.node.place))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let reader =
            self.0.ok_or_else(|| <Error as de::Error>::custom("a list is missing after this word"))?;
        reader.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let reader =
            self.0.ok_or_else(|| <Error as de::Error>::custom("a map is missing after this word"))?;
        reader.deserialize_struct("", fields, visitor)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WithPlace<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for WithPlace<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in a file")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<At<T>, D::Error> {
                let place =
                    PLACE.take().ok_or_else(|| de::Error::custom("places are known in files only"))?;
                T::deserialize(inner).map(|value| At { value, place })
            }
        }

        deserializer.deserialize_newtype_struct(AT, WithPlace(std::marker::PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeNode;

        impl<'de> Visitor<'de> for WholeNode {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value in a file")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Json, D::Error> {
                TREE.take().map(Json).ok_or_else(|| de::Error::custom("trees are known in files only"))
            }
        }

        deserializer.deserialize_newtype_struct(NODE, WholeNode)
    }
}

impl JsonSchema for Json {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Json".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!(true)
    }
}
