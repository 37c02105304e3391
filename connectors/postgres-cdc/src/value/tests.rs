//! What no server sends, and edges that the tests on a real server do not reach.

use proptest::prelude::*;
use towpath_model::datum::Reader;

use super::*;

fn bytes(codec: &Codec, text: &str) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    codec.write(text.as_bytes(), &mut out).map(|_| out)
}

#[test]
fn unscaled_values_are_minimal_twos_complement() {
    let check = |text: &str, scale: i32, expected: &[u8]| {
        let datum = bytes(&Codec::Decimal(scale), text).expect("a decimal");
        assert_eq!(Reader::new(&datum).bytes().expect("bytes"), expected, "{text} at {scale}");
    };
    check("0", 0, &[0]);
    check("-0.0", 1, &[0]);
    check("127", 0, &[127]);
    check("128", 0, &[0, 128]);
    check("-128", 0, &[128]);
    check("-129", 0, &[0xff, 127]);
    check("-32768", 0, &[128, 0]);
    check("1.5", 3, &[0x05, 0xdc]);
    check("1.500", 1, &[15]);
    check("1200", -2, &[12]);
    check("0", -2, &[0]);
    // 39 digits leave 128 bits; the two ways of computing agree around the border.
    check("170141183460469231731687303715884105728", 0, &[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    check("-170141183460469231731687303715884105728", 0, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    check("000000000000000000000000000000000000000000001", 0, &[1]);
    check("-00000000000000000000000000000000000000000001", 0, &[0xff]);
    assert!(bytes(&Codec::Decimal(1), "1.55").is_err());
    assert!(bytes(&Codec::Decimal(-2), "1250").is_err());
}

#[test]
fn texts_of_another_type_are_refused() {
    let array = |element| Codec::Array(Box::new(Array { element, optional: true, delimiter: b',' }));
    let cases = [
        (Codec::Integer, vec!["", "-", "1x", "9223372036854775808", "99999999999999999999", " 1"]),
        (Codec::Decimal(2), vec!["", "-", "1e5", "1.2.3", "0x1"]),
        (Codec::Date, vec!["", "2018-13-01", "2018-01-32", "2018-01", "x"]),
        (Codec::Time(Unit::Micros), vec!["", "25:00:00", "24:00:01", "1", "10:00:00+02"]),
        (Codec::Timestamp(Unit::Micros), vec!["2018-01-01", "2018-01-01T10:00:00"]),
        (Codec::TimestampText, vec!["2018-01-01", "2018-01-01 10:00:00+00"]),
        (Codec::DateText, vec!["2018-01-01 10:00:00"]),
        (Codec::Geometry, vec!["", "01", "01x1", "010100002001"]),
        (Codec::Vector, vec!["", "[]", "[1", "[a]"]),
        (Codec::SparseVector, vec!["{}", "{1:1}/", "{1}/2", "{1:1}/40000"]),
        (Codec::TimestampWithZone(6), vec!["2018-01-01 10:00:00", "2018-01-01 10:00:00+02"]),
        (Codec::Interval, vec!["1", "1 parsec", "1:2", "x days"]),
        (Codec::Bytes(BinaryMode::Bytes), vec!["dead", "\\xabc", "\\xzz"]),
        (Codec::Bits, vec!["102"]),
        (Codec::Point, vec!["1,2", "(1)", "(a,b)"]),
        (Codec::Hstore, vec!["k", "\"k\"=>", "\"k"]),
        (array(Codec::Integer), vec!["1", "{1", "{1,}", "{{1}}", "{\"1}", "[1:2{1}"]),
        (array(array(Codec::Integer)), vec!["{1,2}", "{{1}"]),
    ];
    for (codec, texts) in cases {
        for text in texts {
            assert!(bytes(&codec, text).is_err(), "{codec:?} took {text:?}");
        }
    }
    assert!(Codec::Text.write(&[0xff], &mut Vec::new()).is_err());
}

#[test]
fn infinity_and_what_64_bits_do_not_reach_depend_on_the_unit() {
    let check = |unit, text: &str, expected: Option<i64>| {
        let mut out = Vec::new();
        let written = Codec::Timestamp(unit).write(text.as_bytes(), &mut out).expect("a timestamp");
        assert_eq!(written == Written::Value, expected.is_some(), "{text} in {unit:?}");
        assert_eq!(expected.map(Ok), expected.is_some().then(|| Reader::new(&out).long()), "{text} in {unit:?}");
    };
    check(Unit::Millis, "infinity", Some(9_223_372_036_825_200));
    check(Unit::Millis, "-infinity", Some(-9_223_372_036_832_400));
    check(Unit::Micros, "infinity", Some(9_223_372_036_825_200_000));
    check(Unit::Nanos, "infinity", Some(i64::MAX));
    check(Unit::Nanos, "-infinity", Some(i64::MIN));
    check(Unit::Nanos, "9999-12-31 00:00:00", None);
    check(Unit::Nanos, "0001-01-01 00:00:00", None);
    check(Unit::Micros, "294276-12-31 23:59:59.999999", Some(i64::MAX));
}

fn every_codec() -> Vec<Codec> {
    let array = |element, optional| Codec::Array(Box::new(Array { element, optional, delimiter: b',' }));
    vec![
        Codec::Boolean,
        Codec::Integer,
        Codec::Float,
        Codec::Double,
        Codec::Decimal(2),
        Codec::Decimal(-3),
        Codec::VariableDecimal,
        Codec::DecimalText(2),
        Codec::Money(Box::new(Codec::DecimalText(2))),
        Codec::MoneyDecimal(0),
        Codec::MoneyDecimal(18),
        Codec::Char,
        Codec::HstoreMap,
        Codec::Geometry,
        Codec::Vector,
        Codec::HalfVector,
        Codec::SparseVector,
        Codec::DateText,
        Codec::TimeText,
        Codec::TimestampText,
        Codec::Text,
        Codec::Bytes(BinaryMode::Bytes),
        Codec::Bytes(BinaryMode::Hex),
        Codec::Bit,
        Codec::Bits,
        Codec::Date,
        Codec::Time(Unit::Millis),
        Codec::Timestamp(Unit::Nanos),
        Codec::TimeWithZone,
        Codec::TimestampWithZone(3),
        Codec::Interval,
        Codec::IntervalText,
        Codec::Hstore,
        Codec::Point,
        array(Codec::Text, true),
        array(array(Codec::Integer, false), true),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..60)) {
        for codec in every_codec() {
            let _ = codec.write(&text, &mut Vec::new());
        }
    }

    #[test]
    fn near_misses_never_panic(text in "[-+0-9:., BC{}\"\\\\NULxdaysmon=>()\\[\\]infty]{0,40}") {
        for codec in every_codec() {
            let _ = codec.write(text.as_bytes(), &mut Vec::new());
        }
    }

    #[test]
    fn integers_are_those_of_rust(value: i64) {
        let datum = bytes(&Codec::Integer, &value.to_string()).expect("an integer");
        prop_assert_eq!(Reader::new(&datum).long(), Ok(value));
    }

    #[test]
    fn long_decimals_agree_with_short_ones(value: i64, zeros in 0usize..60) {
        // Zeros ahead of the digits send the same value the long way.
        let sign = if value < 0 { "-" } else { "" };
        let long = format!("{sign}{}{}", "0".repeat(zeros), value.unsigned_abs());
        prop_assert_eq!(bytes(&Codec::Decimal(0), &long), bytes(&Codec::Decimal(0), &value.to_string()));
    }

    #[test]
    fn dates_count_days(days in -2_400_000i32..100_000_000) {
        // The next day is one more, whatever month or century it falls in.
        let (year, month, day) = civil_of(i64::from(days));
        let text = if year > 0 { format!("{year:04}-{month:02}-{day:02}") } else { format!("{:04}-{month:02}-{day:02} BC", 1 - year) };
        let datum = bytes(&Codec::Date, &text).expect("a date");
        prop_assert_eq!(Reader::new(&datum).long(), Ok(i64::from(days)), "{}", text);
    }
}

/// The date of a day, by counting: years of 400 first, then single years and months.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let leap = |year: i64| year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let mut year = 1970 + days.div_euclid(146_097) * 400;
    let mut left = days.rem_euclid(146_097);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as i64 + 1, left + 1)
}
