//! Text of which only a part, a hash or a mask is shown: `column.truncate.to…`, `column.mask.hash…`, `column.mask.with…`.

use md5::Md5;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use towpath_model::datum;

use super::{Codec, Fault};

/// What is shown of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// The same text for every value, null too.
    Fixed(String),
    /// At most this many characters of what the codec writes.
    Truncated(Codec, usize),
    /// Its hash, in hexadecimal digits, of which at most this many.
    Hashed(Codec, Hash, usize),
}

/// How a hash is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    algorithm: Algorithm,
    salt: Vec<u8>,
    /// Whether the text alone is hashed. Debezium's first version hashes the text as Java serializes it.
    plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// A hash by the name that Java has for it; none when it is not known.
    pub fn named(algorithm: &str, salt: &str, plain: bool) -> Option<Self> {
        let algorithm = match algorithm.to_ascii_uppercase().as_str() {
            "MD5" => Algorithm::Md5,
            "SHA-224" => Algorithm::Sha224,
            "SHA-256" => Algorithm::Sha256,
            "SHA-384" => Algorithm::Sha384,
            "SHA-512" => Algorithm::Sha512,
            _ => return None,
        };
        Some(Self { algorithm, salt: salt.into(), plain })
    }

    fn digits(&self, text: &str) -> String {
        let serialized;
        let bytes = if self.plain {
            text.as_bytes()
        } else {
            serialized = serialize(text);
            &serialized
        };
        match self.algorithm {
            Algorithm::Md5 => hex(&<Md5 as md5::Digest>::digest([&self.salt, bytes].concat())),
            Algorithm::Sha224 => hex(&self.digest::<Sha224>(bytes)),
            Algorithm::Sha256 => hex(&self.digest::<Sha256>(bytes)),
            Algorithm::Sha384 => hex(&self.digest::<Sha384>(bytes)),
            Algorithm::Sha512 => hex(&self.digest::<Sha512>(bytes)),
        }
    }

    fn digest<D: Digest>(&self, bytes: &[u8]) -> Vec<u8> {
        D::new().chain_update(&self.salt).chain_update(bytes).finalize().to_vec()
    }
}

/// A string as Java serializes it: the stream's own head, the kind of string, its length, and UTF-8 in which halves of
/// surrogate pairs stand by themselves.
fn serialize(text: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match unit {
            1..0x80 => body.push(unit as u8),
            0 | 0x80..0x800 => body.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 63) as u8]),
            _ => body.extend([0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 63) as u8, 0x80 | (unit & 63) as u8]),
        }
    }
    let mut serialized = vec![0xac, 0xed, 0, 5];
    match u16::try_from(body.len()) {
        Ok(length) => {
            serialized.push(b't');
            serialized.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            serialized.push(b'|');
            serialized.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
    }
    serialized.extend_from_slice(&body);
    serialized
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

impl Mask {
    /// What stands for every value and for null, if that is always the same.
    pub fn fixed(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Truncated(..) | Self::Hashed(..) => None,
        }
    }

    pub(super) fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Fixed(mask) => datum::write_bytes(out, mask.as_bytes()),
            Self::Truncated(codec, _) | Self::Hashed(codec, ..) => {
                let mut shown = Vec::new();
                codec.write(text, &mut shown)?;
                let shown =
                    datum::Reader::new(&shown).string().map_err(|_| Fault::Text("a masked column that is not text"))?;
                self.write_text(shown, out);
            }
        }
        Ok(())
    }

    pub(super) fn write_placeholder(&self, placeholder: &[u8], out: &mut Vec<u8>) {
        self.write_text(&String::from_utf8_lossy(placeholder), out);
    }

    fn write_text(&self, text: &str, out: &mut Vec<u8>) {
        let first = |text: &str, count: usize| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
        match self {
            Self::Fixed(mask) => datum::write_bytes(out, mask.as_bytes()),
            Self::Truncated(_, count) => {
                datum::write_bytes(out, text.as_bytes().get(..first(text, *count)).unwrap_or_default());
            }
            Self::Hashed(_, hash, count) => {
                let digits = hash.digits(text);
                datum::write_bytes(out, digits.as_bytes().get(..first(&digits, *count)).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests that Java gives for the same.
    #[test]
    fn hashes_are_those_of_java() {
        let check = |algorithm: &str, plain: bool, text: &str, expected: &str| {
            let hash = Hash::named(algorithm, "CzQMA0cB5K", plain).expect("known");
            assert_eq!(hash.digits(text), expected, "{algorithm} of {} characters", text.len());
        };
        check("SHA-256", false, "Sally Thomas", "c52d535f7d1aeb9573ec6b1aadcd32d89f66d480ac00307c021659c9eedb96fd");
        let long = "x".repeat(70_000);
        check("SHA-256", false, &long, "21042a3875b47dd8220328aaae40017a2549733682fadda8e245c213391dc13f");
        check("sha-256", false, "ü", "3d8c9188ced356fa8619d0f978313ded2001d06f9d33335adc1e9b2b783d196a");
        check("MD5", true, "Sally Thomas", "d2810789895fe36cc64e86644a0fe15a");
        assert!(Hash::named("CRC-32", "", true).is_none());
    }

    #[test]
    fn text_is_cut_between_characters() {
        let mut out = Vec::new();
        Mask::Truncated(Codec::Text, 3).write("äöüß".as_bytes(), &mut out).expect("text");
        assert_eq!(datum::Reader::new(&out).string(), Ok("äöü"));
    }
}
