//! Patterns against what Java prints and reads.

use super::DateFormat;

fn format(pattern: &str) -> DateFormat {
    DateFormat::new(pattern).expect(pattern)
}

#[test]
fn moments_are_written_as_java_writes_them() {
    // 2026-11-27 14:05:09.042 UTC, a Friday.
    let ms = 1_795_788_309_042;
    let cases = [
        ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2026-11-27T14:05:09.042Z"),
        ("yy M d H m s S", "26 11 27 14 5 9 42"),
        ("EEE, d MMM yyyy hh:mm a", "Fri, 27 Nov 2026 02:05 PM"),
        ("EEEE MMMM G", "Friday November AD"),
        ("kk KK D w W F u", "14 02 331 48 4 4 5"),
        ("z Z X XXX", "UTC +0000 Z Z"),
        ("''yyyy'' 'o''clock' SSSSSS", "'2026' o'clock 000042"),
    ];
    for (pattern, expected) in cases {
        assert_eq!(format(pattern).text(ms), expected, "{pattern}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    for pattern in
        ["yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yyyyMMddHHmmssSSS", "d MMMM yyyy G hh:mm:ss.SSS a z", "yyyy D kk:mm:ss S"]
    {
        for ms in [0, -1, 1_795_788_309_042, -62_135_596_800_000, -12_219_292_800_001, 253_402_300_799_999] {
            let format = format(pattern);
            // Before Christ a year without its era reads as one of ours.
            if ms < -62_135_769_600_000 && !pattern.contains('G') {
                continue;
            }
            assert_eq!(format.read(&format.text(ms)), Some(ms), "{pattern} {ms}");
        }
    }
}

#[test]
fn reading_is_as_lenient_as_java() {
    let cases = [
        ("yyyy-MM-dd", "2026-02-31", Some("2026-03-03")),
        ("yyyy-MM-dd", "2026-14-01 and more", Some("2027-02-01")),
        ("yyyyMMdd", "20261127", Some("2026-11-27")),
        ("dd/MM/yy", "01/02/49", Some("2049-02-01")),
        ("dd/MM/yy", "01/02/50", Some("1950-02-01")),
        ("d MMM yyyy", "3 september 2020", Some("2020-09-03")),
        ("yyyy-MM-dd", "  2026-  1-2", Some("2026-01-02")),
        ("yyyy-MM-dd", "x2026-01-02", None),
        ("yyyy-MM-dd", "2026/01/02", None),
        ("yyyy-MM-dd", "", None),
        ("yyyy-MM-dd HH Z", "2026-01-02 00 +0130", Some("2026-01-01")),
        ("yyyy-MM-dd HH z", "2026-01-02 00 GMT-1:30", Some("2026-01-02")),
        ("yyyy-MM-dd X", "2026-01-02 Q", None),
    ];
    let out = format("yyyy-MM-dd");
    for (pattern, text, expected) in cases {
        let read = format(pattern).read(text).map(|ms| out.text(ms));
        assert_eq!(read.as_deref(), expected, "{pattern}: {text}");
    }
}

#[test]
fn patterns_that_java_refuses_are_refused() {
    for (pattern, reason) in [
        ("yyyy-jj", "Illegal pattern character 'j'"),
        ("yyyy 'x", "Unterminated quote"),
        ("XXXX", "invalid ISO 8601 format: length=4"),
    ] {
        assert_eq!(DateFormat::new(pattern).map(|_| ()), Err(reason.to_owned()));
    }
}
