//! Every type, in the snapshot and in the stream: the same value, in Debezium's representation.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::log::{Log, config, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// Column type, SQL value, and what is expected.
fn cases() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("bool", "true", json!(true)),
        ("int2", "-7", json!(-7)),
        ("int4", "42", json!(42)),
        ("int8", "9007199254740993", json!(9_007_199_254_740_993i64)),
        ("int8", "-9223372036854775808", json!(i64::MIN)),
        ("oid", "4294967295", json!(4_294_967_295u32)),
        ("real", "1.5", json!(1.5)),
        ("float8", "'NaN'", json!("NaN")),
        ("float8", "'-Infinity'", json!("-Infinity")),
        ("numeric(10,2)", "123.45", json!("MDk=")),
        ("numeric(5,-2)", "12300", json!("ew==")),
        ("numeric(10,2)", "'NaN'", Value::Null),
        ("numeric", "12345.6789", json!({"scale": 4, "value": "B1vNFQ=="})),
        ("numeric", "-1.50", json!({"scale": 1, "value": "8Q=="})),
        ("numeric", "1e10", json!({"scale": 0, "value": "AlQL5AA="})),
        ("money", "1234.56", json!("AeJA")),
        ("money", "-1.5", json!("/2o=")),
        ("money", "'92233720368547758.07'", json!("f/////////8=")),
        ("money", "'-92233720368547758.08'", json!("gAAAAAAAAAA=")),
        ("numeric(38,19)", "-1.0000000000000000001", json!("/3U43Pt2F///")),
        ("numeric(3,5)", "0.00123", json!("ew==")),
        ("numeric", "'Infinity'", Value::Null),
        ("numeric", "0.000", json!({"scale": 0, "value": "AA=="})),
        ("text", "E'tab\\tline\\nback\\\\slash'", json!("tab\tline\nback\\slash")),
        ("char(3)", "'ab'", json!("ab ")),
        ("varchar(9)", "''", json!("")),
        ("\"char\"", "'x'", json!("x")),
        ("\"char\"", "''", json!("")),
        ("\"char\"", "(-56)::\"char\"", json!("\\310")),
        ("name", "'n'", json!("n")),
        ("xml", "'<a/>'", json!("<a/>")),
        ("bytea", "'\\xdeadbeef'", json!("3q2+7w==")),
        ("bit(1)", "B'1'", json!(true)),
        ("bit(5)", "B'10110'", json!("Fg==")),
        ("varbit", "B'0000000100000010'", json!("AgE=")),
        ("varbit", "B''", json!("")),
        ("bit(70)", "B'0'::bit(70)", json!("")),
        ("varbit(1)", "B'0'", json!(false)),
        ("date", "'2018-06-20'", json!(17_702)),
        ("date", "'0044-03-15 BC'", json!(-735_160)),
        ("date", "'infinity'", json!(i32::MAX)),
        ("date", "'-infinity'", json!(i32::MIN)),
        ("date", "'4713-11-24 BC'", json!(-2_440_222)),
        ("date", "'5874897-12-31'", json!(2_145_042_905)),
        ("date", "'1582-10-10'", json!(-141_432)),
        ("time", "'13:12:11.789456'", json!(47_531_789_456i64)),
        ("time", "'24:00'", json!(86_400_000_000i64)),
        ("time(3)", "'13:12:11.789'", json!(47_531_789)),
        ("timetz", "'13:12:11.789456+02'", json!("11:12:11.789456Z")),
        ("timestamp", "'2018-06-20 15:13:16.945104'", json!(1_529_507_596_945_104i64)),
        ("timestamp(3)", "'2018-06-20 15:13:16.945'", json!(1_529_507_596_945i64)),
        ("timestamp", "'infinity'", json!(9_223_372_036_825_200_000i64)),
        ("timestamp", "'-infinity'", json!(-9_223_372_036_832_400_000i64)),
        ("timestamp(0)", "'infinity'", json!(9_223_372_036_825_200i64)),
        ("timestamp", "'294246-12-31 23:59:59.999999'", json!(9_223_371_244_799_999_999i64)),
        ("timestamp(3)", "'294276-12-31 23:59:59.999'", json!(9_224_318_015_999_999i64)),
        ("timestamp", "'294276-12-31 23:59:59.999999'", json!(i64::MAX)),
        ("timestamp", "'4713-11-24 00:00:00 BC'", json!(-210_835_180_800_000_000i64)),
        ("timetz", "'00:00:00+15:59:59'", json!("08:00:01Z")),
        ("timetz", "'24:00:00-15:59'", json!("15:59:00Z")),
        ("timetz", "'24:00:00+00'", json!("24:00:00Z")),
        ("timetz(2)", "'13:12:11.78+01'", json!("12:12:11.78Z")),
        ("timestamptz", "'294276-12-31 23:59:59.999999+00'", json!("+294276-12-31T23:59:59.999999Z")),
        ("timestamptz", "'-infinity'", json!("-infinity")),
        ("timestamptz(0)", "'2018-06-20 15:13:16+00'", json!("2018-06-20T15:13:16Z")),
        ("interval", "'178000000 years'", json!(i64::MAX)),
        ("interval", "'-178000000 years'", json!(i64::MIN)),
        ("interval", "'-1 years -2 mons +3 days -04:05:06.78'", json!(-36_572_706_780_000i64)),
        ("interval day to minute", "'3 days 04:05:06'", json!(273_900_000_000i64)),
        ("timestamptz", "'2018-06-20 15:13:16.945104+02'", json!("2018-06-20T13:13:16.945104Z")),
        ("timestamptz(3)", "'2018-06-20 15:13:16.9+02'", json!("2018-06-20T13:13:16.900Z")),
        ("timestamptz", "'2018-06-20 15:13:16+02'", json!("2018-06-20T13:13:16.000000Z")),
        ("timestamptz", "'infinity'", json!("infinity")),
        ("timestamptz", "'0044-03-15 00:00:00+00 BC'", json!("-0043-03-15T00:00:00.000000Z")),
        ("timestamptz", "'10000-01-01 00:00:00+00'", json!("+10000-01-01T00:00:00.000000Z")),
        ("interval", "'1 year 2 months 3 days 4:05:06.78'", json!(37_091_106_780_000i64)),
        ("interval", "'-1 days -00:00:00.5'", json!(-86_400_500_000i64)),
        ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("json", "'{\"a\":  1}'", json!("{\"a\":  1}")),
        ("jsonb", "'{\"b\":1,  \"a\":2}'", json!("{\"a\": 2, \"b\": 1}")),
        ("inet", "'192.168.1.5/24'", json!("192.168.1.5/24")),
        ("cidr", "'10.1.0.0/16'", json!("10.1.0.0/16")),
        ("macaddr", "'08:00:2b:01:02:03'", json!("08:00:2b:01:02:03")),
        ("int4range", "'[1,5)'", json!("[1,5)")),
        ("daterange", "'empty'", json!("empty")),
        ("tstzrange", "'[2018-06-20 15:00+02,)'", json!("[\"2018-06-20 13:00:00+00\",)")),
        ("numrange", "'(,1.50]'", json!("(,1.50]")),
        ("macaddr8", "'08:00:2b:01:02:03:04:05'", json!("08:00:2b:01:02:03:04:05")),
        ("inet", "'::1'", json!("::1")),
        ("tsvector", "'a fat cat'", json!("'a' 'cat' 'fat'")),
        ("isbn", "'0-393-04002-X'", json!("0-393-04002-X")),
        (
            "point",
            "'(-Infinity,1e300)'",
            json!({"x": "-Infinity", "y": 1e300, "wkb": "AQEAAAAAAAAAAADw/5x1AIg85Dd+", "srid": null}),
        ),
        ("point", "'(1.5,2)'", json!({"x": 1.5, "y": 2.0, "wkb": "AQEAAAAAAAAAAAD4PwAAAAAAAABA", "srid": null})),
        ("mood", "'happy'", json!("happy")),
        ("price", "12.345", json!("MDk=")),
        ("price2", "12.345", json!("MDk=")),
        ("citext", "'Ci'", json!("Ci")),
        ("hstore", "'k=>v, \"q\\\"\"=>NULL'", json!("{\"k\":\"v\",\"q\\\"\":null}")),
        ("ltree", "'a.b.c'", json!("a.b.c")),
        ("int4[]", "'{1,NULL,3}'", json!([1, null, 3])),
        ("int4[]", "'{}'", json!([])),
        ("int4[]", "'[5:6]={1,2}'", json!([1, 2])),
        ("int4[][]", "'{{1,2},{3,4}}'", json!([[1, 2], [3, 4]])),
        ("text[]", "ARRAY['a,b', 'c\"d\\e', '', 'NULL', NULL]", json!(["a,b", "c\"d\\e", "", "NULL", null])),
        ("bytea[]", "ARRAY['\\xdead'::bytea]", json!(["3q0="])),
        ("numeric(6,1)[]", "'{1.5,-0.1}'", json!(["Dw==", "/w=="])),
        ("mood[]", "'{happy,sad}'", json!(["happy", "sad"])),
        ("timestamptz[]", "'{2018-06-20 13:13:16+00}'", json!(["2018-06-20T13:13:16.000000Z"])),
        ("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", json!(["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"])),
        ("int4[]", "'{{1,2},{3,NULL}}'", json!([[1, 2], [3, null]])),
        ("int4[][][]", "'{{{1},{2}},{{3},{4}}}'", json!([[[1], [2]], [[3], [4]]])),
        ("text[]", "ARRAY[['{a}', 'b,c'], ['\"', NULL]]", json!([["{a}", "b,c"], ["\"", null]])),
        ("mood[]", "'{happy,NULL}'", json!(["happy", null])),
        ("mood[][]", "'{{happy},{sad}}'", json!([["happy"], ["sad"]])),
        ("price[]", "'{1.5}'", json!(["Bdw="])),
        ("matrix", "'{{1,2},{3,4}}'", json!([[1, 2], [3, 4]])),
        ("feeling", "'sad'", json!("sad")),
        ("hstore[]", "ARRAY['k=>v'::hstore, NULL]", json!(["{\"k\":\"v\"}", null])),
        ("numeric[]", "'{1.50,NaN}'", json!([{"scale": 1, "value": "Dw=="}, null])),
        ("citext[]", "'{A,b}'", json!(["A", "b"])),
        ("ltree[]", "'{a.b,c}'", json!(["a.b", "c"])),
        ("bool[]", "'{t,f,NULL}'", json!([true, false, null])),
        ("date[]", "'{2018-06-20,infinity}'", json!([17_702, i32::MAX])),
        ("time[]", "'{13:12:11.789456}'", json!([47_531_789_456i64])),
        ("timetz[]", "'{13:12:11.789456+02}'", json!(["11:12:11.789456Z"])),
        ("jsonb[]", "ARRAY['{\"a\": [1, \"x\"]}'::jsonb]", json!(["{\"a\": [1, \"x\"]}"])),
        ("int4range[]", "'{\"[1,5)\",empty}'", json!(["[1,5)", "empty"])),
        ("inet[]", "'{10.0.0.1/8}'", json!(["10.0.0.1/8"])),
        ("oid[]", "'{4294967295}'", json!([4_294_967_295u32])),
        ("float8[]", "'{NaN,-Infinity,1.5}'", json!(["NaN", "-Infinity", 1.5])),
        (
            "geometry",
            "'0101000020E6100000000000000000F03F0000000000000040'",
            json!({"wkb": "AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==", "srid": 4326}),
        ),
        (
            "geometry",
            "'0101000000000000000000F03F0000000000000040'",
            json!({"wkb": "AQEAAAAAAAAAAADwPwAAAAAAAABA", "srid": null}),
        ),
        ("vector", "'[1,2.5,-3]'", json!([1.0, 2.5, -3.0])),
        ("halfvec", "'[1,2.5,-3]'", json!([1.0, 2.5, -3.0])),
        ("sparsevec", "'{1:1.5,3:2}/5'", json!({"dimensions": 5, "vector": {"1": 1.5, "3": 2.0}})),
        ("int4", "NULL", Value::Null),
    ]
}

const TYPES: &str = "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION isn; \
    CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN price AS numeric(8,3); CREATE DOMAIN price2 AS price; \
    CREATE DOMAIN matrix AS int[]; CREATE DOMAIN feeling AS mood";

/// Types of extensions that are not installed here, with their names and texts.
fn create_lookalikes(database: &Database) {
    for name in ["geometry", "vector", "halfvec", "sparsevec"] {
        database.run(&format!(
            "CREATE TYPE {name}; \
             CREATE FUNCTION {name}_in(cstring) RETURNS {name} LANGUAGE internal IMMUTABLE STRICT AS 'textin'; \
             CREATE FUNCTION {name}_out({name}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout'; \
             CREATE TYPE {name} (INPUT = {name}_in, OUTPUT = {name}_out, STORAGE = extended)"
        ));
    }
}

#[test]
fn snapshot_and_stream_show_every_type_alike_and_as_debezium_does() {
    let database = Database::new();
    database.run(TYPES);
    create_lookalikes(&database);
    let cases = cases();
    let columns = cases.iter().enumerate().map(|(index, (kind, ..))| format!("c{index} {kind}")).collect::<Vec<_>>();
    let values = cases.iter().map(|(_, value, _)| (*value).to_owned()).collect::<Vec<_>>();
    database.run(&format!("CREATE TABLE t (id int PRIMARY KEY, {})", columns.join(", ")));
    database.run(&format!("INSERT INTO t VALUES (1, {})", values.join(", ")));
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    database.run(&format!("INSERT INTO t VALUES (2, {})", values.join(", ")));
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
    let mut wrong = Vec::new();
    for (index, (kind, value, expected)) in cases.iter().enumerate() {
        let column = format!("c{index}");
        for (phase, record) in ["snapshot", "stream"].iter().zip(&log.records) {
            let found = &record.after()[&column];
            if found != expected {
                wrong.push(format!("{phase} of {kind} {value}: {found}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn other_modes_give_other_representations() {
    let database = Database::new();
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, n numeric, m money, i interval, b bytea, s timestamp(0), d date, p box, x xid, a money[])",
    );
    database.run("INSERT INTO t VALUES (1, 'NaN', 1.5, '1 year 2 months 3 days 4:05:06.78', '\\xfbff', '2018-06-20 15:13:16', '2018-06-20', '(1,1),(0,0)', '700', '{1}')");
    let modes = [
        ("decimal.handling.mode", "string"),
        ("interval.handling.mode", "string"),
        ("binary.handling.mode", "base64-url-safe"),
        ("time.precision.mode", "connect"),
        ("include.unknown.datatypes", "true"),
    ];
    let (config, host, mut log) = (config(&database, &modes), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    let expected = json!({
        "id": 1, "n": "NAN", "m": "1.50", "i": "P1Y2M3DT4H5M6.78S", "b": "-_8=", "s": 1_529_507_596_000i64, "d": 17_702,
        // Shapes as Java writes them, and what has no representation of its own as bytes are.
        "p": "KDEuMCwxLjApLCgwLjAsMC4wKQ==", "x": "NzAw",
    });
    assert_eq!(log.records[0].after(), &expected);
}

#[test]
fn columns_that_are_not_wanted_or_not_known_are_left_out() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, secret text, shape box, twice int GENERATED ALWAYS AS (id * 2) STORED, v int)");
    database.run("INSERT INTO t (id, secret, v) VALUES (1, 'x', 3)");
    let config = config(&database, &[("column.exclude.list", "public.t.secret")]);
    let (host, mut log) = (Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    database.run("UPDATE t SET v = 3");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
    for record in &log.records {
        assert_eq!(record.after(), &json!({"id": 1, "v": 3}));
    }
}

#[test]
fn generated_columns_are_in_both_phases_or_in_neither() {
    let database = Database::new();
    let version: u32 = database.value("SHOW server_version_num").parse().expect("a number");
    // Before 18 no publication has them, and there are no virtual ones.
    let cases: &[(&str, &str, &[&str])] = if version >= 180_000 {
        &[
            (" WITH (publish_generated_columns = none)", ", w int GENERATED ALWAYS AS (id * 3) VIRTUAL", &["id", "v"]),
            (" WITH (publish_generated_columns = stored)", ", w int GENERATED ALWAYS AS (id * 3)", &["id", "s", "v"]),
        ]
    } else {
        &[("", "", &["id", "v"])]
    };
    for (with, more, expected) in cases {
        let database = Database::new();
        database.run(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, s int GENERATED ALWAYS AS (id * 2) STORED{more}, v int)"
        ));
        database.run("INSERT INTO t (id, v) VALUES (1, 5)");
        database.run(&format!("CREATE PUBLICATION own FOR TABLE t{with}"));
        let named = [("publication.name", "own"), ("publication.autocreate.mode", "disabled")];
        let (config, host, mut log) = (config(&database, &named), Arc::new(Native::default()), Log::default());
        let mut task = open(&config, &log, &host);
        poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
        database.run("INSERT INTO t (id, v) VALUES (2, 6)");
        poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
        for record in &log.records {
            let fields: Vec<&str> = record.after().as_object().expect("a row").keys().map(String::as_str).collect();
            assert_eq!(fields, *expected, "{with}");
            assert!(
                !expected.contains(&"s")
                    || record.after()["s"].as_i64() == record.after()["id"].as_i64().map(|id| id * 2)
            );
        }
    }
}
