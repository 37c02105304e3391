//! The source block. Neighbouring records share all of it but their own place in
//! the log, so that what surrounds the place is kept from one to the next.

use towpath_model::datum;

use super::Origin;

/// A source block in three parts, between which the place stands.
#[derive(Debug, Default)]
pub(super) struct Block {
    table: usize,
    ts_us: i64,
    snapshot: &'static str,
    last_commit: Option<u64>,
    xid: Option<u64>,
    upstream: Option<(String, Option<u64>)>,
    /// Up to the sequence.
    head: Vec<u8>,
    /// The sequence up to the place.
    sequence: Vec<u8>,
    /// From there to the place as a number.
    middle: Vec<u8>,
    /// What follows it.
    tail: Vec<u8>,
}

impl Block {
    /// Whether the parts are those of this table and origin.
    #[inline]
    pub(super) fn is_of(&self, table: usize, origin: &Origin<'_>) -> bool {
        self.table == table
            && self.ts_us == origin.ts_us
            && self.snapshot == origin.snapshot
            && self.last_commit == origin.last_commit
            && self.xid == origin.xid
            && self.upstream.as_ref().map(|(name, lsn)| (name.as_str(), *lsn)) == origin.upstream
    }

    /// Makes the parts. `connector` is version, connector and name; `names` are those of schema and table.
    pub(super) fn fill(
        &mut self,
        address: usize,
        connector: &[u8],
        database: &[u8],
        names: &[u8],
        origin: &Origin<'_>,
    ) {
        self.table = address;
        self.ts_us = origin.ts_us;
        self.snapshot = origin.snapshot;
        self.last_commit = origin.last_commit;
        self.xid = origin.xid;
        self.upstream = origin.upstream.map(|(name, lsn)| (name.to_owned(), lsn));
        let Self { head, sequence, middle, tail, .. } = self;
        for part in [&mut *head, &mut *sequence, &mut *middle, &mut *tail] {
            part.clear();
        }
        head.extend_from_slice(connector);
        datum::write_long(head, origin.ts_us.div_euclid(1000));
        // The field has a default, so the value's branch comes first. `false` is the default and left out, as in Debezium:
        // transforms see a null.
        if origin.snapshot == "false" {
            datum::write_long(head, 1);
        } else {
            datum::write_long(head, 0);
            datum::write_bytes(head, origin.snapshot.as_bytes());
        }
        head.extend_from_slice(database);
        datum::write_long(head, 1);
        match origin.last_commit {
            None => sequence.extend_from_slice(b"[null,\""),
            Some(commit) => {
                sequence.extend_from_slice(b"[\"");
                write_number(commit, sequence);
                sequence.extend_from_slice(b"\",\"");
            }
        }
        for moment in [origin.ts_us, origin.ts_us.saturating_mul(1000)] {
            datum::write_long(middle, 1);
            datum::write_long(middle, moment);
        }
        middle.extend_from_slice(names);
        datum::write_long(middle, i64::from(origin.xid.is_some()));
        if let Some(xid) = origin.xid {
            datum::write_long(middle, xid.cast_signed());
        }
        datum::write_long(middle, 1);
        // No xmin is fetched.
        datum::write_long(tail, 0);
        match origin.upstream {
            None => tail.extend_from_slice(&[0, 0]),
            Some((name, lsn)) => {
                datum::write_long(tail, 1);
                datum::write_bytes(tail, name.as_bytes());
                datum::write_long(tail, i64::from(lsn.is_some()));
                if let Some(lsn) = lsn {
                    datum::write_long(tail, lsn.cast_signed());
                }
            }
        }
    }

    /// Writes the block of a record with this place.
    #[inline]
    pub(super) fn write(&self, lsn: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        // The sequence `["<last commit>","<place>"]` has fewer than 64 bytes, so its length is one byte.
        let at = out.len();
        out.push(0);
        out.extend_from_slice(&self.sequence);
        write_number(lsn, out);
        out.extend_from_slice(b"\"]");
        let length = out.len() - at - 1;
        if let Some(byte) = out.get_mut(at) {
            *byte = (length as u8) << 1;
        }
        out.extend_from_slice(&self.middle);
        datum::write_long(out, lsn.cast_signed());
        out.extend_from_slice(&self.tail);
    }
}

#[inline]
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first = place;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}
