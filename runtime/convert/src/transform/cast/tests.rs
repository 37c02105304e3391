//! Casts against what Java gives.

use towpath_model::Config;

use super::number::cast;
use super::{Cast, Target};
use crate::transform::Settings;
use crate::transform::scalar::{Scalar, Temporal};

fn text(text: &str) -> Scalar<'_> {
    Scalar::Text(text.into())
}

#[test]
fn values_become_what_java_makes_of_them() {
    let decimal = Scalar::Decimal(vec![0x30, 0x39].into(), 2);
    let cases = [
        (Scalar::Integer(300), Target::Int8, Scalar::Integer(44)),
        (Scalar::Integer(-1), Target::Boolean, Scalar::Boolean(true)),
        (Scalar::Double(3e10), Target::Int32, Scalar::Integer(i32::MAX.into())),
        (Scalar::Double(3e10), Target::Int8, Scalar::Integer(-1)),
        (Scalar::Double(f64::NAN), Target::Int64, Scalar::Integer(0)),
        (Scalar::Double(0.9), Target::Boolean, Scalar::Boolean(false)),
        (Scalar::Double(1e7), Target::String, text("1.0E7")),
        (Scalar::Float(0.1), Target::Float64, Scalar::Double(f64::from(0.1f32))),
        (Scalar::Boolean(true), Target::Float32, Scalar::Float(1.0)),
        (text("+7"), Target::Int16, Scalar::Integer(7)),
        (text(" 1.5f "), Target::Float64, Scalar::Double(1.5)),
        (text("-Infinity"), Target::Float32, Scalar::Float(f32::NEG_INFINITY)),
        (text("TRUE"), Target::Boolean, Scalar::Boolean(true)),
        (text("1"), Target::Boolean, Scalar::Boolean(false)),
        (Scalar::Bytes(vec![1, 2, 3].into()), Target::String, text("AQID")),
        (decimal.clone(), Target::Int32, Scalar::Integer(123)),
        (decimal.clone(), Target::Float64, Scalar::Double(123.45)),
        (decimal, Target::String, text("123.45")),
    ];
    for (value, target, expected) in cases {
        assert_eq!(cast(value.clone(), None, target), Ok(expected), "{value:?} to {target:?}");
    }
    for (value, target) in [
        (text("128"), Target::Int8),
        (text(" 1"), Target::Int64),
        (text("nan"), Target::Float64),
        (text("x"), Target::Int32),
    ] {
        let fault = cast(value.clone(), None, target).expect_err("it is no number");
        assert!(fault.reason.contains(target.name()), "{value:?}: {fault:?}");
    }
}

#[test]
fn points_in_time_become_texts_by_their_number() {
    for (stored, temporal, expected) in [
        (1, Temporal::Date, "1970-01-02"),
        (61_001, Temporal::Time, "00:01:01.001Z"),
        (1_795_788_309_042, Temporal::Timestamp, "2026-11-27T14:05:09.042Z"),
        (172_800_000, Temporal::Timestamp, "1970-01-03"),
        (-1, Temporal::Timestamp, "23:59:59.999Z"),
    ] {
        assert_eq!(cast(Scalar::Integer(stored), Some(temporal), Target::String), Ok(text(expected)));
    }
}

#[test]
fn specs_that_cannot_be_used_are_refused_in_connects_words() {
    for (spec, reason) in [
        ("", "Must specify at least one field to cast."),
        ("a:int8,string", "may only specify a single cast"),
        ("a:bytes", "does not support casting to BYTES"),
        ("a:int128", "Invalid type found in casting spec: int128"),
        ("a:b:int8", "Invalid rename mapping: a:b:int8"),
    ] {
        let config: Config = [("spec", spec)].into_iter().collect();
        let error = Cast::new(&Settings::new("transforms", "c", config)).err().expect(spec);
        assert_eq!(error.key, "transforms.c.spec");
        assert!(error.reason.contains(reason), "{spec}: {}", error.reason);
    }
}
