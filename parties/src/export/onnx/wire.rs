//! As much of protocol buffers as ONNX needs: varints, and fields with a length.

/// A message that is being written.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A field that is a whole number.
    pub(super) fn int(mut self, field: u32, value: u64) -> Self {
        varint(&mut self.0, u64::from(field) << 3);
        varint(&mut self.0, value);
        self
    }

    /// A field that is bytes or text.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        varint(&mut self.0, u64::from(field) << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A field that is text.
    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// A field that is a message.
    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// A field that is several messages.
    pub(super) fn messages(self, field: u32, values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, &value))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

/// A message that was read: its fields in order.
pub(super) struct Fields<'a>(Vec<(u32, Value<'a>)>);

impl<'a> Fields<'a> {
    pub(super) fn read(mut bytes: &'a [u8]) -> Result<Self, String> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = read_varint(&mut bytes)?;
            let field = u32::try_from(key >> 3).map_err(|_| "a field has no number")?;
            let value = match key & 7 {
                0 => Value::Int(read_varint(&mut bytes)?),
                2 => {
                    let length = read_varint(&mut bytes)?;
                    let length = usize::try_from(length).ok().filter(|&n| n <= bytes.len());
                    let (value, rest) = bytes.split_at(length.ok_or("a field is cut off")?);
                    bytes = rest;
                    Value::Bytes(value)
                }
                other => return Err(format!("a field is of the kind {other}")),
            };
            fields.push((field, value));
        }
        Ok(Self(fields))
    }

    /// All values of a field that is bytes.
    pub(super) fn all(&self, field: u32) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(move |(number, value)| match value {
            Value::Bytes(bytes) if *number == field => Some(*bytes),
            _ => None,
        })
    }

    /// All values of a field that is a whole number.
    pub(super) fn ints(&self, field: u32) -> impl Iterator<Item = u64> {
        self.0.iter().filter_map(move |(number, value)| match value {
            Value::Int(value) if *number == field => Some(*value),
            _ => None,
        })
    }

    /// The messages of a field.
    pub(super) fn messages(&self, field: u32) -> Result<Vec<Fields<'a>>, String> {
        self.all(field).map(Fields::read).collect()
    }

    /// The text of a field; empty without it.
    pub(super) fn text(&self, field: u32) -> Result<String, String> {
        text(self.all(field).next().unwrap_or_default())
    }
}

/// Bytes as text.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text is no UTF-8".to_owned())
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("a number is cut off")?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number is too long".to_owned())
}
