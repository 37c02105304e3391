//! Paths, listings and uploads on the stores that need no server.

use super::*;
use crate::capability::Held;

#[test]
fn paths_that_could_leave_their_folder_are_refused() {
    for path in ["", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "a\\..\\b", "a/\u{0}b"] {
        assert!(matches!(object_path(path), Err(wit::StoreError::Denied(_))), "{path:?} was taken");
    }
    for path in ["topics/orders/partition=0/orders+0+0000000000.json.gz", "a/..b/c", "ünïcode"] {
        assert_eq!(object_path(path).expect(path).to_string(), path);
    }
}

#[test]
fn a_refusal_of_the_request_itself_is_not_taken_for_a_passing_fault() {
    assert!(is_final("Error performing PUT: Server returned non-2xx status code: 400 Bad Request: <Error/>"));
    assert!(!is_final("Error performing PUT: Server returned non-2xx status code: 503 Service Unavailable: "));
    assert!(!is_final("connection refused"));
}

#[tokio::test]
async fn a_listing_is_sorted_paged_and_goes_by_prefix() {
    let store = InMemory::new();
    for path in ["t/p=0/b", "t/p=0/a", "t/p=0/c", "t/p=00/a", "t/q"] {
        store.put(&Path::from(path), PutPayload::from_static(b"x")).await.expect("put");
    }
    let list = async |prefix: &str, after: Option<&str>, max| -> Vec<String> {
        let listed = list_all(&store, prefix, after, max).await.expect("listed");
        listed.into_iter().map(|meta| meta.path).collect()
    };
    assert_eq!(list("t/p=0/", None, 2).await, ["t/p=0/a", "t/p=0/b"]);
    assert_eq!(list("t/p=0/", Some("t/p=0/b"), 2).await, ["t/p=0/c"]);
    assert_eq!(list("t/p=0", None, 9).await, ["t/p=0/a", "t/p=0/b", "t/p=0/c", "t/p=00/a"]);
    assert_eq!(list("t/p=0/a", None, 9).await, ["t/p=0/a"]);
}

#[tokio::test]
async fn an_upload_of_many_parts_appears_whole_and_only_when_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let store: Arc<dyn ObjectStore> =
        Arc::new(object_store::local::LocalFileSystem::new_with_prefix(folder.path()).expect("opens").with_fsync(true));
    let path = Path::from("a/b");
    let mut upload = Upload::new(store.clone(), path.clone(), &Held::new(64 << 20));
    let block: Vec<u8> = (0..3 << 20).map(|index: u32| index.to_le_bytes()[1]).collect();
    for _ in 0..9 {
        upload.write(&block).await.expect("taken");
        assert!(!folder.path().join("a/b").exists(), "it shows before it is complete");
    }
    let done = upload.complete().await.expect("complete");
    assert_eq!((done.path.as_str(), done.size), ("a/b", 9 * block.len() as u64));
    let read = store.get(&path).await.expect("there").bytes().await.expect("read");
    assert_eq!(read.len(), 9 * block.len());
    assert!(read.chunks(block.len()).all(|chunk| chunk == block));
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).expect("opens");
    let mut upload = Upload::new(Arc::new(store), Path::from("x"), &Held::new(64 << 20));
    upload.write(&vec![7; 20 << 20]).await.expect("taken");
    upload.abort().await;
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn uploads_together_hold_no_more_than_the_task_may() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let held = Held::new(10 << 20);
    let mut first = Upload::new(store.clone(), Path::from("a"), &held);
    let mut second = Upload::new(store, Path::from("b"), &held);
    first.write(&vec![1; 7 << 20]).await.expect("within the bound");
    assert!(matches!(second.write(&vec![2; 7 << 20]).await, Err(wit::StoreError::Other(_))));
    first.complete().await.expect("complete");
    second.write(&vec![2; 7 << 20]).await.expect("there is room again");
    // Far more than the bound may pass through, a part at a time.
    second.write(&vec![2; 40 << 20]).await.expect("parts leave as they are filled");
    assert_eq!(second.complete().await.expect("complete").size, 47 << 20);
}
