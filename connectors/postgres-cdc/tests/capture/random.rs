//! Random values of every type: the same row gives the same bytes in the snapshot and in the stream, and where the server can
//! say the same in SQL, its word is the one that counts.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::log::{Log, Record, config, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// SplitMix64: small, and the same everywhere.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    fn digits(&mut self, most: u64) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    fn sign(&mut self) -> &'static str {
        self.pick(&["", "-"])
    }
}

/// Characters that mean something somewhere on the way, and some that need more than one byte.
const CHARACTERS: [&str; 22] = [
    "a", "Z", "0", " ", "\t", "\n", "\r", "\\", "\"", "'", "{", "}", ",", "=>", "NULL", ":", "ü", "✓", "𝄞", "\u{7f}",
    "\u{1}", "\\.",
];

fn text(rng: &mut Rng) -> String {
    let length = if rng.below(20) == 0 { 3000 } else { rng.below(12) };
    (0..length).map(|_| rng.pick(&CHARACTERS)).collect()
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn date(rng: &mut Rng) -> String {
    let year = match rng.below(6) {
        0 => 1 + rng.below(4712),
        1 => 1 + rng.below(294_000),
        _ => 1900 + rng.below(200),
    };
    let (month, day) = (1 + rng.below(12), 1 + rng.below(28));
    format!("{year:04}-{month:02}-{day:02}")
}

fn era(rng: &mut Rng, date: &str) -> &'static str {
    if date.len() == 10 && *date < *"4700" && rng.below(4) == 0 { " BC" } else { "" }
}

fn clock(rng: &mut Rng) -> String {
    let (hours, minutes, seconds) = (rng.below(24), rng.below(60), rng.below(60));
    match rng.below(3) {
        0 => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{hours:02}:{minutes:02}:{seconds:02}.{}", rng.digits(6)),
    }
}

fn integer(rng: &mut Rng, bits: u32) -> String {
    let value = (rng.next() as i64) >> (64 - bits) >> rng.below(bits.into());
    match rng.below(8) {
        0 => (i64::MIN >> (64 - bits)).to_string(),
        1 => (i64::MAX >> (64 - bits)).to_string(),
        _ => value.to_string(),
    }
}

fn float(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => rng.pick(&["NaN", "Infinity", "-Infinity", "-0", "0"]).to_owned(),
        1 => format!("{}{}.{}e{}", rng.sign(), rng.digits(3), rng.digits(12), rng.below(30)),
        _ => format!("{}{}.{}", rng.sign(), rng.digits(6), rng.digits(9)),
    }
}

fn interval(rng: &mut Rng) -> String {
    let mut text = String::new();
    for unit in ["years", "mons", "days", "hours", "minutes", "seconds", "microseconds"] {
        if rng.below(2) == 0 {
            let count = if unit == "years" && rng.below(10) == 0 { rng.below(170_000_000) } else { rng.below(3000) };
            let _ = write!(text, "{}{count} {unit} ", rng.sign());
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

fn array(rng: &mut Rng, element: impl Fn(&mut Rng) -> String) -> String {
    let quoted = |rng: &mut Rng| match rng.below(6) {
        0 => "NULL".to_owned(),
        _ => format!("\"{}\"", element(rng).replace('\\', "\\\\").replace('"', "\\\"")),
    };
    let list = |rng: &mut Rng, count: u64| (0..count).map(|_| quoted(rng)).collect::<Vec<_>>().join(",");
    let (outer, inner) = (1 + rng.below(3), 1 + rng.below(3));
    let whole = match rng.below(6) {
        0 => "{}".to_owned(),
        1 => (0..outer).map(|_| format!("{{{}}}", list(rng, inner))).collect::<Vec<_>>().join(","),
        _ => list(rng, outer),
    };
    quote(&if whole == "{}" { whole } else { format!("{{{whole}}}") })
}

/// What the server says in SQL of a column, in the form of [`plain`].
const SAME: Option<&str> = Some("{}::text");
const UNSCALED: Option<&str> = Some("({} * 10000)::numeric(60,0)::text");

/// The columns: type, the server's word, a random literal.
type Make = fn(&mut Rng) -> String;
type Column = (&'static str, Option<&'static str>, Make);

fn columns() -> Vec<Column> {
    vec![
        ("int2", SAME, |rng| integer(rng, 16)),
        ("int4", SAME, |rng| integer(rng, 32)),
        ("int8", SAME, |rng| quote(&integer(rng, 64))),
        ("oid", SAME, |rng| rng.below(1 << 32).to_string()),
        ("bool", SAME, |rng| rng.pick(&["true", "false"]).into()),
        ("float8", None, |rng| quote(&float(rng))),
        ("real", None, |rng| quote(&float(rng))),
        ("numeric(20,4)", UNSCALED, |rng| format!("{}{}.{}", rng.sign(), rng.digits(16), rng.digits(4))),
        ("numeric(60,4)", None, |rng| format!("{}{}.{}", rng.sign(), rng.digits(56), rng.digits(4))),
        ("numeric(6,-3)", None, |rng| format!("{}{}", rng.sign(), rng.digits(8))),
        ("numeric", None, |rng| match rng.below(6) {
            0 => quote(rng.pick(&["NaN", "Infinity", "-Infinity"])),
            1 => format!("{}1e{}", rng.sign(), rng.below(900)),
            _ => format!("{}{}.{}", rng.sign(), rng.digits(30), rng.digits(50)),
        }),
        ("money", Some("({}::numeric * 100)::numeric(40,0)::text"), |rng| {
            quote(&format!("{}{}.{}", rng.sign(), rng.digits(15), rng.digits(2)))
        }),
        ("text", SAME, |rng| quote(&text(rng))),
        ("varchar(4)", SAME, |rng| format!("{}::varchar(4)", quote(&text(rng)))),
        ("char(4)", Some("rpad({}, 4)"), |rng| format!("{}::char(4)", quote(&text(rng)))),
        ("bytea", Some("translate(encode({}, 'base64'), E'\\n', '')"), |rng| {
            let bytes: String = (0..rng.below(40)).map(|_| format!("{:02x}", rng.below(256))).collect();
            quote(&format!("\\x{bytes}"))
        }),
        ("bit(11)", None, |rng| format!("{}::bit(11)", rng.below(2048))),
        ("varbit(40)", None, |rng| {
            format!("B'{}'", (0..rng.below(41)).map(|_| rng.pick(&["0", "1"])).collect::<String>())
        }),
        ("date", Some("({} - date '1970-01-01')::text"), |rng| {
            let date = date(rng);
            quote(&format!("{date}{}", era(rng, &date)))
        }),
        ("time", Some("(extract(epoch FROM {}) * 1000000)::bigint::text"), |rng| quote(&clock(rng))),
        ("time(2)", Some("(extract(epoch FROM {}) * 1000)::bigint::text"), |rng| quote(&clock(rng))),
        ("timetz", None, |rng| {
            let zone =
                format!("{}{:02}:{:02}:{:02}", rng.pick(&["+", "-"]), rng.below(15), rng.below(60), rng.below(60));
            quote(&format!("{}{zone}", clock(rng)))
        }),
        ("timestamp", Some("(extract(epoch FROM {}) * 1000000)::numeric(30,0)::text"), |rng| {
            let date = date(rng);
            quote(&format!("{date} {}{}", clock(rng), era(rng, &date)))
        }),
        ("timestamp(3)", Some("(extract(epoch FROM {}) * 1000)::numeric(30,0)::text"), |rng| {
            let date = date(rng);
            quote(&format!("{date} {}{}", clock(rng), era(rng, &date)))
        }),
        ("timestamptz", None, |rng| {
            let date = date(rng);
            quote(&format!("{date} {}{:+03}{}", clock(rng), rng.below(28) as i64 - 14, era(rng, &date)))
        }),
        ("interval", None, |rng| quote(&interval(rng))),
        ("uuid", SAME, |_| "gen_random_uuid()".into()),
        ("json", SAME, |rng| format!("to_json({}::text)", quote(&text(rng)))),
        ("jsonb", SAME, |rng| format!("jsonb_build_object({}, {}::text)", quote(&text(rng)), quote(&text(rng)))),
        ("xml", None, |rng| format!("xmlelement(name x, {})", quote(&text(rng).replace('\u{1}', "")))),
        ("inet", Some("abbrev({})"), |rng| {
            quote(&format!("{}.{}.0.1/{}", rng.below(256), rng.below(256), rng.below(33)))
        }),
        ("int8range", SAME, |rng| format!("int8range({}, {0} + {}, '[)')", integer(rng, 30), rng.below(9))),
        ("tstzrange", None, |rng| {
            format!("tstzrange({0}::timestamptz, {0}::timestamptz + '1 day')", quote(&date(rng)))
        }),
        ("tsvector", SAME, |rng| format!("to_tsvector('simple', {})", quote(&text(rng)))),
        ("point", None, |rng| format!("point({}, {})", quote(&float(rng)), quote(&float(rng)))),
        ("hstore", None, |rng| format!("hstore({}, {})", quote(&text(rng)), rng.pick(&["NULL", "'v'", "E'\"\\\\'"]))),
        ("hstore[]", None, |rng| format!("ARRAY[hstore({}, {}), NULL]", quote(&text(rng)), quote(&text(rng)))),
        ("citext", SAME, |rng| quote(&text(rng))),
        ("mood", SAME, |rng| quote(rng.pick(&["so so", "it's", "\"odd\", \\"]))),
        ("mood[]", None, |rng| array(rng, |rng| rng.pick(&["so so", "it's", "\"odd\", \\"]).into())),
        ("price", Some("({} * 1000)::numeric(40,0)::text"), |rng| format!("{}{}", rng.sign(), rng.digits(5))),
        ("price[]", None, |rng| array(rng, |rng| rng.digits(5))),
        ("int4[]", None, |rng| array(rng, |rng| integer(rng, 32))),
        ("text[]", None, |rng| array(rng, text)),
        ("bytea[]", None, |rng| array(rng, |rng| format!("\\x{:04x}", rng.below(1 << 16)))),
        ("numeric(30,5)[]", None, |rng| {
            array(rng, |rng| format!("{}{}.{}", rng.sign(), rng.digits(25), rng.digits(5)))
        }),
        ("float8[]", None, |rng| array(rng, float)),
        ("timestamptz[]", None, |rng| array(rng, |rng| format!("{} {}+00", date(rng), clock(rng)))),
        ("jsonb[]", None, |rng| format!("ARRAY[to_jsonb({}::text), NULL]", quote(&text(rng)))),
    ]
}

/// A JSON value as the server's word for it would read.
fn plain(kind: &str, value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(encoded) if ["numeric", "money", "price"].iter().any(|exact| kind.starts_with(exact)) => {
            let bytes = STANDARD.decode(encoded).expect("base64");
            let start = if bytes[0] & 0x80 == 0 { 0 } else { -1i128 };
            bytes.iter().fold(start, |sum, byte| sum << 8 | i128::from(*byte)).to_string()
        }
        Value::String(value) => value.clone(),
        other => other.to_string(),
    })
}

fn by_id<'a>(log: &'a Log, topic: &str) -> Vec<&'a Record> {
    let mut records: Vec<_> = log.records.iter().filter(|record| record.topic == topic).collect();
    records.sort_by_key(|record| record.key["id"].as_i64());
    records
}

#[test]
fn random_values_are_the_same_bytes_in_both_phases_and_what_the_server_says() {
    let seed = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        u64::from(std::process::id()) << 20
            | u64::from(std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_micros()))
    });
    println!("TOWPATH_SEED={seed}");
    let mut rng = Rng(seed);
    let database = Database::new();
    database.run("CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE DOMAIN price AS numeric(8,3)");
    database.run(r#"CREATE TYPE mood AS ENUM ('so so', 'it''s', '"odd", \')"#);
    let columns = columns();
    let list =
        columns.iter().enumerate().map(|(at, (kind, ..))| format!("c{at} {kind}")).collect::<Vec<_>>().join(", ");
    database.run(&format!("CREATE TABLE t (id int PRIMARY KEY, {list}); CREATE TABLE u (id int PRIMARY KEY, {list})"));
    const ROWS: usize = 150;
    for id in 0..ROWS {
        let literal = |(_, _, make): &Column| if rng.below(12) == 0 { "NULL".to_owned() } else { make(&mut rng) };
        let values: Vec<_> = columns.iter().map(literal).collect();
        database.run(&format!("INSERT INTO t VALUES ({id}, {})", values.join(", ")));
    }
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 1000, |log| log.records.len() == ROWS);
    database.run("INSERT INTO u SELECT * FROM t");
    poll_until(&mut task, &mut log, 1000, |log| log.records.len() == 2 * ROWS);
    let (read, streamed) = (by_id(&log, "shop.public.t"), by_id(&log, "shop.public.u"));
    for (read, streamed) in read.iter().zip(&streamed) {
        assert_eq!(read.after(), streamed.after());
        assert_eq!(read.row, streamed.row);
    }
    let word = |(at, (_, says, _)): (usize, &Column)| says.map(|says| says.replace("{}", &format!("c{at}")));
    let says: Vec<_> = columns.iter().enumerate().map(|column| word(column).unwrap_or("NULL".into())).collect();
    let rows = database.run(&format!("SELECT {} FROM t ORDER BY id", says.join(", ")));
    for (record, row) in read.iter().zip(rows) {
        for (at, (kind, says, _)) in columns.iter().enumerate() {
            let shown = plain(kind, &record.after()[format!("c{at}")]);
            assert!(says.is_none() || shown == row[at], "{kind}: {shown:?}, but the server says {:?}", row[at]);
        }
    }
}
