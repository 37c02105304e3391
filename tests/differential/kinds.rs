//! The types of columns with the values that are worth trying: extremes, and what has gone wrong somewhere before.
//!
//! A kind's tag is part of the name of every column of that kind, so that the list of corrections can speak of columns of a type
//! without knowing the tables. A tag never changes its meaning: recordings refer to it.

use rand::RngExt;
use rand::rngs::StdRng;

/// A type of columns.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Begins the name of each column of this kind.
    pub(crate) tag: &'static str,
    /// The type in SQL.
    pub(crate) sql: &'static str,
    /// Values as Postgres reads them from a string.
    values: &'static [&'static str],
    /// More values, without end.
    any: Option<fn(&mut StdRng) -> String>,
}

/// Calls that make a default of a type, the same each time.
const CALLS: [(&str, &str); 10] = [
    ("int4", "abs(-3)"),
    ("float8", "sqrt(4)"),
    ("numeric10p2", "abs(-3.5)"),
    ("text", "lower('X')"),
    ("bool", "starts_with('abc', 'a')"),
    ("date", "make_date(2020, 1, 31)"),
    ("time", "make_time(8, 15, 23.5)"),
    ("timestampnear", "make_timestamp(2020, 1, 31, 8, 15, 23.5)"),
    ("interval", "make_interval(days => 3)"),
    ("jsonb", "jsonb_build_object()"),
];

impl Kind {
    /// A default as an expression: a constant with or without its type, or a call.
    pub(crate) fn default(&self, rng: &mut StdRng) -> String {
        let call = CALLS.iter().find(|(tag, _)| *tag == self.tag).map(|(_, call)| *call);
        match rng.random_range(0..4) {
            0 => call.map_or_else(|| self.value(rng), str::to_owned),
            1 => self.value(rng),
            _ => format!("{}::{}", self.value(rng), self.sql),
        }
    }

    /// A value as a string constant of SQL.
    pub(crate) fn value(&self, rng: &mut StdRng) -> String {
        let text = match self.any {
            Some(any) if rng.random_ratio(2, 5) => any(rng),
            _ => self.values[rng.random_range(0..self.values.len())].to_owned(),
        };
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// The kind of a tag.
pub(crate) fn kind(tag: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.tag == tag)
}

/// Kinds of which Debezium makes null of some or all values: a column of these that may not be null stops it.
const NULLED: [&str; 24] = [
    "timestamp",
    "timestamp0",
    "timestamp3",
    "int4dim3",
    "name_array",
    "xml_array",
    "point_array",
    "varbit_array",
    "dom_array",
    "box_array",
    "timetz",
    "timetz3",
    "bit_array",
    "int4dim2",
    "textdim2",
    "name",
    "numeric10p2nan",
    "numericnan",
    "numericm2",
    "numeric3p5",
    "money_array",
    "interval_array",
    "int4_array",
    "bool_array",
];

impl Kind {
    /// Whether columns of this kind may be declared NOT NULL.
    pub(crate) fn may_be_required(&self) -> bool {
        !NULLED.contains(&self.tag)
    }
}

/// What must exist before tables with these kinds can: extensions as the superuser, types as the tables' owner.
pub(crate) const EXTENSIONS: [&str; 4] = ["citext", "hstore", "ltree", "isn"];
/// A domain over an enum is missing: Debezium 3.6.3 does not start in a database that has one (`TypeRegistry` asks for its labels).
pub(crate) const TYPES: [&str; 7] = [
    "create type mood as enum ('sad', 'ok', 'Very Happy', 'it''s')",
    "create domain positive as int check (value > 0)",
    "create domain weight as numeric(8,3)",
    "create domain label as varchar(20)",
    "create domain short_label as label check (length(value) < 12)",
    "create type pair as (a int, b text)",
    "create schema \"Odd Schema\"",
];

fn any_integer(rng: &mut StdRng, bits: u32) -> String {
    let shift = 64 - rng.random_range(1..=bits);
    (rng.random::<i64>() >> shift).to_string()
}

fn any_text(rng: &mut StdRng) -> String {
    const PIECES: [&str; 16] =
        ["a", "Z", "0", " ", "\"", "'", "\\", "/", "\n", "\t", "\u{1}", "\u{7f}", "é", "✓", "😀", "\u{2028}"];
    (0..rng.random_range(0..12)).map(|_| PIECES[rng.random_range(0..PIECES.len())]).collect()
}

fn any_decimal(rng: &mut StdRng, whole: usize, fraction: usize) -> String {
    let digits = |rng: &mut StdRng, most: usize| {
        (0..rng.random_range(1..=most)).map(|_| char::from(b'0' + rng.random_range(0..10))).collect::<String>()
    };
    let sign = if rng.random_bool(0.5) { "-" } else { "" };
    format!("{sign}{}.{}", digits(rng, whole), digits(rng, fraction))
}

fn any_float(rng: &mut StdRng) -> String {
    format!("{}e{}", any_decimal(rng, 3, 14), rng.random_range(-30..30))
}

fn any_date(rng: &mut StdRng) -> String {
    format!("{:04}-{:02}-{:02}", rng.random_range(1..9999), rng.random_range(1..=12), rng.random_range(1..=28))
}

fn any_time(rng: &mut StdRng) -> String {
    let micros = rng.random_range(0..1_000_000) / [1, 10, 1000, 1_000_000][rng.random_range(0..4)];
    format!("{:02}:{:02}:{:02}.{micros:06}", rng.random_range(0..24), rng.random_range(0..60), rng.random_range(0..60))
}

fn any_timestamp(rng: &mut StdRng) -> String {
    format!("{} {}", any_date(rng), any_time(rng))
}

fn any_interval(rng: &mut StdRng) -> String {
    format!(
        "{} years {} mons {} days {}{}",
        rng.random_range(-300..300),
        rng.random_range(-20..20),
        rng.random_range(-400..400),
        ["", "-"][rng.random_range(0..2)],
        any_time(rng)
    )
}

fn any_bytes(rng: &mut StdRng) -> String {
    let digits = (0..rng.random_range(0..24)).map(|_| format!("{:02x}", rng.random::<u8>()));
    format!("\\x{}", digits.collect::<String>())
}

fn any_bits(rng: &mut StdRng, length: usize) -> String {
    (0..length).map(|_| if rng.random_bool(0.5) { '1' } else { '0' }).collect()
}

fn any_uuid(rng: &mut StdRng) -> String {
    let (high, low) = (rng.random::<u64>(), rng.random::<u64>());
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

const fn plain(tag: &'static str, sql: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { tag, sql, values, any: None }
}

const fn with(
    tag: &'static str,
    sql: &'static str,
    any: fn(&mut StdRng) -> String,
    values: &'static [&'static str],
) -> Kind {
    Kind { tag, sql, values, any: Some(any) }
}

const INTERVALS: &[&str] = &[
    "0",
    "1 year 2 mons 3 days 04:05:06.789",
    "-1 year -2 mons +3 days -04:05:06.789",
    "1 mon -1 day 00:00:00.000001",
    "-00:00:00.000001",
    "178000000 years",
    "-178000000 years",
    "2147483647 days",
    "11 mons",
    "-1 mon",
];
const FLOATS: &[&str] = &[
    "0",
    "-0",
    "1.5",
    "0.1",
    "-0.25",
    "100",
    "1e7",
    "9999999",
    "12345678",
    "0.001",
    "0.0001",
    "1e-7",
    "16777217",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e21",
    "3.4e38",
    "1e-37",
];
const DATES: &[&str] = &[
    "1970-01-01",
    "1969-12-31",
    "2018-06-20",
    "2000-02-29",
    "1582-10-04",
    "1582-10-15",
    "1582-10-10",
    "1900-02-28",
    "0001-01-01",
    "0044-03-15 BC",
    "4713-01-01 BC",
    "9999-12-31",
    "10000-01-01",
    "5874897-12-31",
    "infinity",
    "-infinity",
];
const TIMES: &[&str] = &[
    "00:00",
    "24:00",
    "23:59:59.999999",
    "13:12:11.789456",
    "00:00:00.000001",
    "12:00:00.5",
    "23:59:59.9995",
    "04:05:06.789",
];
const TIMESTAMPS: &[&str] = &[
    "1970-01-01 00:00",
    "1969-12-31 23:59:59.999999",
    "2018-06-20 15:13:16.945104",
    "2018-06-20 15:13:16.9",
    "2018-06-20 15:13:00",
    "1582-10-04 12:00",
    "1582-10-15 00:00",
    "0001-01-01 00:00",
    "0044-03-15 10:00 BC",
    "4713-01-01 00:00 BC",
    "9999-12-31 23:59:59.999999",
    "294276-12-31 23:59:59.999",
    "infinity",
    "-infinity",
    "1900-01-01 00:00:00.123",
];

/// All kinds.
pub(crate) const KINDS: &[Kind] = &[
    plain("bool", "boolean", &["t", "f"]),
    with("int2", "smallint", |rng| any_integer(rng, 16), &["0", "-7", "32767", "-32768"]),
    with("int4", "int", |rng| any_integer(rng, 32), &["0", "42", "2147483647", "-2147483648"]),
    with(
        "int8",
        "bigint",
        |rng| any_integer(rng, 64),
        &["0", "9007199254740993", "9223372036854775807", "-9223372036854775808"],
    ),
    plain("oid", "oid", &["0", "4294967295", "17"]),
    with("float4", "real", any_float, FLOATS),
    with("float8", "double precision", any_float, FLOATS),
    plain(
        "float8max",
        "double precision",
        &[
            "1.7976931348623157e308",
            "-1.7976931348623157e308",
            "5e-324",
            "2.2250738585072014e-308",
            "123456789012345680",
            "0.30000000000000004",
        ],
    ),
    with(
        "numeric10p2",
        "numeric(10,2)",
        |rng| any_decimal(rng, 8, 2),
        &["123.45", "-99999999.99", "99999999.99", "0", "0.01", "-0.01", "1.28", "-1.28", "2.55", "2.56"],
    ),
    plain("numeric10p2nan", "numeric(10,2)", &["NaN", "1.5"]),
    with(
        "numeric",
        "numeric",
        |rng| any_decimal(rng, 30, 20),
        &[
            "12345.6789",
            "1e10",
            "-1.5",
            "0",
            "0.000",
            "1.10",
            "100",
            "1e-20",
            "1e100",
            "-99999999999999999999999999999999999999999",
            "0.1",
            "-128",
            "128",
            "255",
            "256",
        ],
    ),
    plain("numericnan", "numeric", &["NaN", "Infinity", "-Infinity", "1.5"]),
    with(
        "numeric38",
        "numeric(38,0)",
        |rng| any_decimal(rng, 37, 1),
        &["0", "99999999999999999999999999999999999999", "-1", "127", "-129"],
    ),
    plain("numericm2", "numeric(5,-2)", &["12300", "-100", "0", "9999900"]),
    plain("numeric3p5", "numeric(3,5)", &["0.00123", "-0.00999", "0"]),
    plain("money", "money", &["1234.56", "-0.01", "0", "92233720368547758.07", "-92233720368547758.08"]),
    with(
        "text",
        "text",
        any_text,
        &["", "null", "plain", "it's \"quoted\" \\ and ✓", "line\nbreak\ttab\r", "\\N", "😀"],
    ),
    with("varchar10", "varchar(10)", |rng| any_text(rng).chars().take(10).collect(), &["", "0123456789", "éééééééééé"]),
    plain("char5", "char(5)", &["ab", "", "abcde", "é"]),
    plain("qchar", "\"char\"", &["a", "", "Z"]),
    with("citext", "citext", any_text, &["CamelCase", ""]),
    plain("name", "name", &["pg_class", "Odd Name", ""]),
    plain("xml", "xml", &["<a b=\"c\">d &amp; e</a>", "<a/>"]),
    with("bytea", "bytea", any_bytes, &["\\x", "\\xdeadbeef", "\\x00", "\\xff00ff"]),
    plain("bit1", "bit(1)", &["1", "0"]),
    with("bit8", "bit(8)", |rng| any_bits(rng, 8), &["00000000", "10000000", "00000001", "11111111"]),
    with("bit13", "bit(13)", |rng| any_bits(rng, 13), &["0000000000001", "1000000000000"]),
    with(
        "varbit",
        "bit varying",
        |rng| {
            let length = rng.random_range(0..40);
            any_bits(rng, length)
        },
        &["", "0", "1", "10110"],
    ),
    plain("varbit10", "bit varying(10)", &["1010101010", "", "000"]),
    with("date", "date", any_date, DATES),
    with("time", "time", any_time, TIMES),
    with("time3", "time(3)", any_time, TIMES),
    with("time0", "time(0)", any_time, TIMES),
    plain(
        "timetz",
        "timetz",
        &["11:12:11.789456+00", "13:00+02", "00:00-15:59", "00:00+14", "23:59:59.999999-05:30", "12:00:00.5+00"],
    ),
    plain("timetz3", "timetz(3)", &["11:12:11.789456+00", "13:00+02", "12:00:00.5-03"]),
    with("timestamp", "timestamp", any_timestamp, TIMESTAMPS),
    with(
        "timestampnear",
        "timestamp",
        |rng| format!("{}-06-15 {}", rng.random_range(1678..2262), any_time(rng)),
        &["1970-01-01 00:00", "1969-12-31 23:59:59.999999", "2018-06-20 15:13:16.945104"],
    ),
    with("timestamp3", "timestamp(3)", any_timestamp, TIMESTAMPS),
    with("timestamp0", "timestamp(0)", any_timestamp, TIMESTAMPS),
    with("timestamptz", "timestamptz", |rng| any_timestamp(rng) + "+03", TIMESTAMPS),
    with("timestamptz3", "timestamptz(3)", any_timestamp, TIMESTAMPS),
    with("interval", "interval", any_interval, INTERVALS),
    with("uuid", "uuid", any_uuid, &["00000000-0000-0000-0000-000000000000", "8d8a1f4e-0c5e-4f6b-9d2e-1a2b3c4d5e6f"]),
    plain("json", "json", &["{\"a\": [1, 2],  \"a\": null}", "null", "\"text\"", "  [1.0e5]  ", "{\"é\":\"\\u00e9\"}"]),
    plain("jsonb", "jsonb", &["{\"b\": null, \"a\": [1, 2.50]}", "null", "\"te\\\"xt\"", "[]", "1e5"]),
    plain("hstore", "hstore", &["", "k=>v, n=>NULL", "\"a b\"=>\"say \\\"x\\\"\"", "b=>2, a=>1, aa=>é"]),
    plain("ltree", "ltree", &["a.b.c", "", "Top"]),
    plain("isbn", "isbn", &["978-0-393-04002-9", "0-393-04002-X"]),
    plain("inet", "inet", &["192.168.1.5/24", "10.0.0.1", "::1", "2001:db8::/32"]),
    plain("cidr", "cidr", &["192.168.1.0/24", "10.0.0.0/8", "::/0"]),
    plain("macaddr", "macaddr", &["08:00:2b:01:02:03"]),
    plain("macaddr8", "macaddr8", &["08:00:2b:01:02:03:04:05"]),
    plain("int4range", "int4range", &["[1,5)", "empty", "(,)", "[,7]"]),
    plain("int8range", "int8range", &["[1,5)", "empty"]),
    plain("numrange", "numrange", &["[1.5,2.50]", "(,0)"]),
    plain("tsrange", "tsrange", &["[\"2020-01-01 00:00:00\",\"2020-01-02 03:04:05.6\")", "empty", "(,)"]),
    plain("tstzrange", "tstzrange", &["[\"2020-01-01 00:00:00+02\",infinity)", "empty"]),
    plain("daterange", "daterange", &["[2020-01-01,2020-02-01]", "(,)"]),
    plain("int4multirange", "int4multirange", &["{[1,3),[5,7)}", "{}"]),
    plain("point", "point", &["(1.5,2)", "(-0.1,1e10)", "(0,0)"]),
    plain("line", "line", &["{1,2,3}"]),
    plain("lseg", "lseg", &["[(0,0),(1,1)]"]),
    plain("box", "box", &["(2,2),(1,1)"]),
    plain("path", "path", &["[(0,0),(1,1)]", "((0,0),(1,1))"]),
    plain("polygon", "polygon", &["((0,0),(1,1),(2,0))"]),
    plain("circle", "circle", &["<(1,1),2>"]),
    plain("tsvector", "tsvector", &["a fat cat", "'fat':2B cat:3", ""]),
    plain("tsquery", "tsquery", &["fat & cat"]),
    plain("pg_lsn", "pg_lsn", &["16/B374D848"]),
    plain("xid", "xid", &["700"]),
    plain("tid", "tid", &["(1,2)"]),
    plain("jsonpath", "jsonpath", &["$.a[*]"]),
    plain("enum", "mood", &["sad", "ok", "Very Happy", "it's"]),
    plain("composite", "pair", &["(1,x)", "(,)"]),
    plain("dom_int", "positive", &["1", "2147483647"]),
    with("dom_numeric", "weight", |rng| any_decimal(rng, 5, 3), &["12.345", "-99999.999"]),
    plain("dom_dom", "short_label", &["", "abc"]),
    plain("int4_array", "int[]", &["{1,NULL,3}", "{}", "{2147483647}", "[5:6]={1,2}"]),
    plain("int2_array", "smallint[]", &["{1,-1}", "{}"]),
    plain("int8_array", "bigint[]", &["{9223372036854775807,NULL}"]),
    plain("text_array", "text[]", &["{}", "{x,NULL,\"NULL\",\"y z\",\"\",\"q\\\"\\\\\"}", "{é}"]),
    plain("varchar_array", "varchar(5)[]", &["{abc,NULL}", "{}"]),
    plain("char_array", "char(4)[]", &["{ab,NULL}"]),
    plain("numeric_array", "numeric[]", &["{1.10,NULL,1e10}", "{}"]),
    plain("numeric10p2_array", "numeric(10,2)[]", &["{1.1,NULL,-5}", "{}"]),
    plain("bool_array", "boolean[]", &["{t,f,NULL}"]),
    plain("float8_array", "double precision[]", &["{1.5,NULL,NaN,-Infinity,1e21}"]),
    plain("float4_array", "real[]", &["{0.1,NULL}"]),
    plain("date_array", "date[]", &["{2018-06-20,NULL,1970-01-01}"]),
    plain("time_array", "time[]", &["{13:12:11.789456,NULL}"]),
    plain("timetz_array", "timetz[]", &["{13:12:11.789456+02,NULL}"]),
    plain("timestamp_array", "timestamp[]", &["{\"2018-06-20 15:13:16.945104\",NULL}"]),
    plain("timestamptz_array", "timestamptz[]", &["{\"2018-06-20 15:13:16.945104+02\",NULL}"]),
    plain("uuid_array", "uuid[]", &["{8d8a1f4e-0c5e-4f6b-9d2e-1a2b3c4d5e6f,NULL}"]),
    plain("bytea_array", "bytea[]", &["{\"\\\\xdeadbeef\",NULL,\"\\\\x\"}"]),
    plain("json_array", "json[]", &["{\"{\\\"a\\\": 1}\",NULL}"]),
    plain("jsonb_array", "jsonb[]", &["{\"{\\\"a\\\":1}\",NULL}"]),
    plain("inet_array", "inet[]", &["{10.0.0.1,NULL}"]),
    plain("cidr_array", "cidr[]", &["{10.0.0.0/8}"]),
    plain("macaddr_array", "macaddr[]", &["{08:00:2b:01:02:03}"]),
    plain("oid_array", "oid[]", &["{1,4294967295}"]),
    plain("citext_array", "citext[]", &["{Ab,NULL}"]),
    plain("int4range_array", "int4range[]", &["{\"[1,5)\",empty}"]),
    plain("tsrange_array", "tsrange[]", &["{\"[\\\"2020-01-01 00:00:00\\\",)\"}"]),
    plain("money_array", "money[]", &["{1.5}"]),
    plain("interval_array", "interval[]", &["{1 day}"]),
    plain("bit_array", "bit(3)[]", &["{101}"]),
    plain("enum_array", "mood[]", &["{sad,it's}", "{}"]),
    plain("dom_array", "positive[]", &["{1,2}", "{}"]),
    plain("box_array", "box[]", &["{(2,2),(1,1);(3,3),(0,0)}"]),
    plain("xid_array", "xid[]", &["{700,7}", "{}"]),
    plain("name_array", "name[]", &["{a}"]),
    plain("xml_array", "xml[]", &["{<a/>}"]),
    plain("point_array", "point[]", &["{\"(1,2)\"}"]),
    plain("varbit_array", "bit varying[]", &["{101}"]),
    plain("ltree_array", "ltree[]", &["{a.b,c}"]),
    plain("hstore_array", "hstore[]", &["{\"\\\"k\\\"=>\\\"v\\\"\"}"]),
    plain("int4dim3", "int[][][]", &["{{{1},{2}},{{3},{4}}}"]),
    plain("int4dim2", "int[][]", &["{{1,2},{3,4}}"]),
    plain("textdim2", "text[][]", &["{{a,NULL},{c,d}}"]),
];
