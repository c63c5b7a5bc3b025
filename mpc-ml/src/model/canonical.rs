//! A plan as bytes that parties compare, field by field.

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeStruct, Serializer};

use crate::error::Error;

/// The version of this form itself.
const VERSION: u32 = 1;

/// The bytes of the fields of a plan, each in postcard's encoding, behind the name of the model and
/// the version of its arithmetic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    fields: Vec<(&'static str, Vec<u8>)>,
}

impl Canonical {
    /// The form of a plan of the model `name`. `arithmetic` is raised when a rounding or a table
    /// changes, so that nodes that would compute something else refuse each other.
    #[must_use]
    pub fn new(name: &str, arithmetic: u32) -> Self {
        let mut model = VERSION.to_le_bytes().to_vec();
        model.extend(arithmetic.to_le_bytes());
        model.extend(name.as_bytes());
        Self { fields: vec![("model or version of its arithmetic", model)] }
    }

    /// Adds the fields of a structure, each by its own name.
    ///
    /// # Errors
    /// [`Error::Settings`] when `of` is no structure with named fields.
    pub fn with<T: Serialize>(mut self, of: &T) -> Result<Self, Error> {
        let fields = of.serialize(Split).map_err(|error| wrong(&error))?;
        self.fields.extend(fields);
        Ok(self)
    }

    /// Adds one field.
    ///
    /// # Errors
    /// [`Error::Settings`] when it has no fixed encoding.
    pub fn field<T: Serialize>(mut self, name: &'static str, value: &T) -> Result<Self, Error> {
        self.fields.push((name, postcard::to_stdvec(value).map_err(|error| wrong(&error))?));
        Ok(self)
    }

    /// The fields with their names, the model first.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&'static str, &[u8])> {
        self.fields.iter().map(|(name, bytes)| (*name, bytes.as_slice()))
    }

    /// All fields in one, with their names and lengths.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for (name, bytes) in &self.fields {
            for part in [name.as_bytes(), bytes] {
                all.extend((part.len() as u64).to_le_bytes());
                all.extend(part);
            }
        }
        all
    }
}

fn wrong(error: &postcard::Error) -> Error {
    Error::Settings(format!("a plan cannot be written as bytes: {error}"))
}

/// Takes a structure apart into its fields, and nothing else.
struct Split;

/// The fields so far.
struct Fields(Vec<(&'static str, Vec<u8>)>);

impl SerializeStruct for Fields {
    type Ok = Vec<(&'static str, Vec<u8>)>;
    type Error = postcard::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        self.0.push((name, postcard::to_stdvec(value)?));
        Ok(())
    }

    fn end(self) -> Result<Self::Ok, Self::Error> {
        Ok(self.0)
    }
}

/// Everything but a structure is refused.
macro_rules! refuse {
    ($($name:ident($($argument:ty),*) -> $ok:ty;)*) => {$(
        fn $name(self $(, _: $argument)*) -> Result<$ok, Self::Error> {
            Err(Self::Error::custom("no structure"))
        }
    )*};
}

type No = Impossible<Vec<(&'static str, Vec<u8>)>, postcard::Error>;
type Ok_ = Vec<(&'static str, Vec<u8>)>;

impl Serializer for Split {
    type Ok = Ok_;
    type Error = postcard::Error;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = Fields;
    type SerializeStructVariant = No;

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Fields, Self::Error> {
        Ok(Fields(Vec::with_capacity(len)))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Ok_, Self::Error> {
        Err(Self::Error::custom("no structure"))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Ok_, Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Ok_, Self::Error> {
        Err(Self::Error::custom("no structure"))
    }

    refuse! {
        serialize_bool(bool) -> Ok_;
        serialize_i8(i8) -> Ok_;
        serialize_i16(i16) -> Ok_;
        serialize_i32(i32) -> Ok_;
        serialize_i64(i64) -> Ok_;
        serialize_u8(u8) -> Ok_;
        serialize_u16(u16) -> Ok_;
        serialize_u32(u32) -> Ok_;
        serialize_u64(u64) -> Ok_;
        serialize_f32(f32) -> Ok_;
        serialize_f64(f64) -> Ok_;
        serialize_char(char) -> Ok_;
        serialize_str(&str) -> Ok_;
        serialize_bytes(&[u8]) -> Ok_;
        serialize_none() -> Ok_;
        serialize_unit() -> Ok_;
        serialize_unit_struct(&'static str) -> Ok_;
        serialize_unit_variant(&'static str, u32, &'static str) -> Ok_;
        serialize_seq(Option<usize>) -> No;
        serialize_tuple(usize) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Settings {
        l2: f64,
        rows: Vec<u64>,
    }

    #[test]
    fn a_structure_is_taken_apart_into_its_fields() {
        let form = |l2| {
            let settings = Settings { l2, rows: vec![3, 300] };
            Canonical::new("mean", 2).with(&settings).expect("a structure")
        };
        let fields: Vec<_> = form(0.5).fields().map(|(name, _)| name).collect();
        assert_eq!(fields, ["model or version of its arithmetic", "l2", "rows"]);
        assert_eq!(form(0.5), form(0.5));
        assert_ne!(form(0.5).to_bytes(), form(-0.5).to_bytes());
        // Golden bytes: other versions of the program must come to the same ones.
        let all = form(0.5);
        let bytes: Vec<_> = all.fields().map(|(_, bytes)| bytes.to_vec()).collect();
        assert_eq!(bytes[0], [&[1, 0, 0, 0, 2, 0, 0, 0], "mean".as_bytes()].concat());
        assert_eq!(bytes[1], [0, 0, 0, 0, 0, 0, 0xe0, 0x3f]);
        assert_eq!(bytes[2], [2, 3, 0xac, 2]);
    }

    #[test]
    fn what_has_no_names_is_refused() {
        assert!(Canonical::new("mean", 1).with(&3.0).is_err());
        assert!(Canonical::new("mean", 1).with(&vec![1, 2]).is_err());
        assert!(Canonical::new("mean", 1).field("three", &3.0).is_ok());
    }
}
