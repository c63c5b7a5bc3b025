//! Invitations: one short text by which a node is known to others.
//!
//! ```text
//! text      "partyinvite1" and the bytes in lowercase base32, without padding
//! byte 0    version of the format: 1
//! 1..3      length of the fields                                    u16, big-endian
//! 3..       fields: kind u8, length u8, value
//! 4 bytes   the first ones of SHA3 of all bytes before
//! ```
//!
//! | field | | |
//! |---|---|---|
//! | 1 | name | once |
//! | 2 | public key, 32 bytes | once |
//! | 3 | address, host:port | any number |
//! | 4 | a key before it: [`Link`] | any number, the oldest first |
//! | 128 | reserved for a relay | |
//!
//! Fields from 128 on may be passed over by a program that does not know them; others may not. A text says
//! how long it is, so it is found in a mail that has broken its lines.

mod link;
mod words;

use std::fmt;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};

use crate::identity::Fingerprint;
use crate::name::{Address, PartyName};

pub use link::{Link, LinkError, Links};
pub use words::{Words, table};

const PREFIX: &str = "partyinvite1";
const VERSION: u8 = 1;
const CHECK: usize = 4;
/// Version and length.
const HEAD: usize = 3;

const NAME: u8 = 1;
const KEY: u8 = 2;
const ADDRESS: u8 = 3;
const LINK: u8 = 4;
/// From here on a field may be passed over.
const OPTIONAL: u8 = 128;

/// What a node tells about itself, all of it public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Its name in studies.
    pub name: PartyName,
    /// Its public key.
    pub key: Fingerprint,
    /// Where it can be reached.
    pub addresses: Vec<Address>,
    /// The keys that it had before, each of which signed the next one.
    pub links: Links,
}

/// Why a text is no invitation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// There is none in the text.
    #[error("there is no invitation in it: one begins with {PREFIX}")]
    None,
    /// It is shorter than it says.
    #[error("the invitation is cut off: copy all of it")]
    Cut,
    /// The checksum does not fit, or a character is none that it can have.
    #[error("the invitation was changed on its way (its checksum does not fit): copy it again")]
    Changed,
    /// Another version.
    #[error(
        "the invitation is of version {0}, and this program reads version {VERSION}: use a newer program"
    )]
    Version(u8),
    /// A field that this program must know and does not.
    #[error("the invitation has a field {0} that this program does not know: use a newer program")]
    Field(u8),
    /// A field breaks a rule.
    #[error("the invitation is not as the program writes it: {0}")]
    Malformed(String),
}

/// Lowercase base32.
fn base32() -> Encoding {
    let mut rules = Specification::new();
    rules.symbols.push_str(&BASE32_NOPAD.specification().symbols.to_lowercase());
    // The alphabet is that of RFC 4648.
    rules.encoding().unwrap_or(BASE32_NOPAD)
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = mpc_core::rand::hash("invitation 1", &[bytes]);
    [hash[0], hash[1], hash[2], hash[3]]
}

impl Invite {
    /// The invitations in a text, such as a mail; what stands around them is passed over.
    ///
    /// # Errors
    /// When there is none, or one is not whole.
    pub fn find(text: &str) -> Result<Vec<Self>, InviteError> {
        let lower = text.to_ascii_lowercase();
        let mut found = Vec::new();
        for (at, _) in lower.match_indices(PREFIX) {
            found.push(Self::read(&lower[at + PREFIX.len()..])?);
        }
        if found.is_empty() { Err(InviteError::None) } else { Ok(found) }
    }

    /// The invitation at the beginning of `text`, whose prefix was read.
    fn read(text: &str) -> Result<Self, InviteError> {
        // Mail programs break lines, and put a mark before those that they quote.
        let mut symbols = text.chars().filter(|each| !each.is_whitespace() && *each != '>');
        let encoding = base32();
        let mut take = |bytes: usize, symbols_before: &mut String| {
            let needed = encoding.encode_len(bytes);
            while symbols_before.len() < needed {
                let symbol = symbols.next().ok_or(InviteError::Cut)?;
                if !symbol.is_ascii_alphanumeric() {
                    return Err(InviteError::Cut);
                }
                symbols_before.push(symbol);
            }
            Ok(needed)
        };
        let mut taken = String::new();
        // Five bytes are eight symbols: whole groups, and so the head without what follows.
        take(5, &mut taken)?;
        let head = encoding.decode(taken.as_bytes()).map_err(|_| InviteError::Changed)?;
        if head[0] != VERSION {
            return Err(InviteError::Version(head[0]));
        }
        let fields = usize::from(u16::from_be_bytes([head[1], head[2]]));
        take(HEAD + fields + CHECK, &mut taken)?;
        let bytes = encoding.decode(taken.as_bytes()).map_err(|_| InviteError::Changed)?;
        let (body, sum) = bytes.split_at(HEAD + fields);
        if check(body) != *sum {
            return Err(InviteError::Changed);
        }
        Self::parse(&body[HEAD..])
    }

    fn parse(mut fields: &[u8]) -> Result<Self, InviteError> {
        let malformed = |what: &str| InviteError::Malformed(what.to_owned());
        let (mut name, mut key, mut addresses, mut links) = (None, None, Vec::new(), Vec::new());
        while let [kind, length, rest @ ..] = fields {
            let (value, rest) = rest
                .split_at_checked(usize::from(*length))
                .ok_or_else(|| malformed("a field is longer than the rest"))?;
            fields = rest;
            let text = || std::str::from_utf8(value).map_err(|_| malformed("a field is no text"));
            let rule = |error: crate::name::NameError| InviteError::Malformed(error.to_string());
            match *kind {
                NAME if name.is_none() => name = Some(text()?.parse().map_err(rule)?),
                KEY if key.is_none() => {
                    let bytes: [u8; 32] =
                        value.try_into().map_err(|_| malformed("the key has not 32 bytes"))?;
                    key = Some(Fingerprint::from_bytes(bytes));
                }
                NAME | KEY => return Err(malformed("a field stands twice")),
                ADDRESS => addresses.push(text()?.parse().map_err(rule)?),
                LINK => links.push(
                    Link::from_bytes(value).ok_or_else(|| malformed("a link is not 104 bytes"))?,
                ),
                OPTIONAL.. => {}
                other => return Err(InviteError::Field(other)),
            }
        }
        if !fields.is_empty() {
            return Err(malformed("there are bytes behind the fields"));
        }
        let key = key.ok_or_else(|| malformed("there is no key"))?;
        let links = Links::new(links, &key).map_err(|error| malformed(&error.to_string()))?;
        Ok(Self { name: name.ok_or_else(|| malformed("there is no name"))?, key, addresses, links })
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = Vec::new();
        let mut field = |kind: u8, value: &[u8]| {
            // Names, addresses and links are shorter than 256 bytes.
            fields.extend_from_slice(&[kind, value.len() as u8]);
            fields.extend_from_slice(value);
        };
        field(NAME, self.name.as_str().as_bytes());
        field(KEY, self.key.as_bytes());
        self.addresses.iter().for_each(|address| field(ADDRESS, address.as_str().as_bytes()));
        self.links.iter().for_each(|link| field(LINK, &link.to_bytes()));
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&(fields.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&fields);
        let sum = check(&bytes);
        bytes.extend_from_slice(&sum);
        write!(f, "{PREFIX}{}", base32().encode(&bytes))
    }
}

#[cfg(test)]
mod tests;
