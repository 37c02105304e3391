//! A look at every batch: in order, until whoever looks has seen enough, and past what is damaged.

use std::ops::ControlFlow;

use super::retention::filled;

#[test]
fn every_batch_is_shown_until_enough_is_seen_and_past_damage() {
    let (log, _, disk) = filled(&[], 12);
    let mut seen = Vec::new();
    let whole = log.inspect(|partition| &*partition.topic == "orders", &mut |partition, batch| {
        seen.push((partition.partition, batch.base_offset));
        ControlFlow::Continue(())
    });
    assert_eq!(seen, (0..12).map(|offset| (0, offset)).collect::<Vec<_>>());
    assert_eq!((whole.partitions, whole.damaged.len()), (1, 0));
    let mut looked = 0;
    log.inspect(|_| true, &mut |_, _| {
        looked += 1;
        ControlFlow::Break(())
    });
    assert_eq!(looked, 1, "whoever has seen enough is shown no more");
    let path = std::path::PathBuf::from(format!("/log/orders-0/{:020}.log", 0));
    disk.flip_bit(&path, 100, 3).expect("the byte is there");
    let mut after = 0;
    let damaged = log.inspect(|_| true, &mut |_, _| {
        after += 1;
        ControlFlow::Continue(())
    });
    assert!(damaged.damaged[0].to_string().contains(path.to_str().expect("a name")), "{:?}", damaged.damaged);
    assert!((1..12).contains(&after), "the other segments are read all the same: {after}");
}
