//! A look at every batch: a sound log is told as one, and a flipped bit is told with its file and offset.

use std::ops::ControlFlow;

use super::retention::filled;

#[test]
fn every_batch_is_looked_at_and_a_flipped_bit_is_found() {
    let (log, _, disk) = filled(&[], 12);
    let mut seen = Vec::new();
    let whole = log.inspect(|partition| &*partition.topic == "orders", &mut |partition, batch| {
        seen.push((partition.partition, batch.base_offset));
        ControlFlow::Continue(())
    });
    assert_eq!(seen, (0..12).map(|offset| (0, offset)).collect::<Vec<_>>());
    assert_eq!((whole.partitions, whole.batches, whole.records, whole.damaged.len()), (1, 12, 12, 0));
    assert!(whole.segments > 1, "the records lie in several segments");
    let mut looked = 0;
    log.inspect(|_| true, &mut |_, _| {
        looked += 1;
        ControlFlow::Break(())
    });
    assert_eq!(looked, 1, "whoever has seen enough is shown no more");
    let path = std::path::PathBuf::from(format!("/log/orders-0/{:020}.log", 0));
    disk.flip_bit(&path, 100, 3).expect("the byte is there");
    let damaged = log.inspect(|_| true, &mut |_, _| ControlFlow::Continue(())).damaged;
    assert_eq!(damaged.len(), 1, "the other segments are read all the same");
    assert_eq!((damaged[0].offset, damaged[0].file.as_str()), (0, path.to_str().expect("a name")));
}
