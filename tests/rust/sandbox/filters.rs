//! The query parameter `filter`.

use lmtokens::testing::sandbox::{NewToken, NewUser};
use proptest::prelude::*;

use super::{Api, query};
use crate::support::cases;

const ALL: &str = "/setting/admins/apitokens";

fn path(filter: &str) -> String {
    format!("{ALL}?{}", query("filter", filter))
}

/// Starts a sandbox with tokens 103 to 107 of user 32, whose notes contain special characters.
fn filled() -> Api {
    let api = Api::start();
    for (note, status) in
        [("plain", 2), ("say \"hi\"", 1), ("a,b|c*d", 2), ("(x) [y] $&#", 1), ("back\\slash", 2)]
    {
        api.token(NewToken { note: note.into(), status, last_used_on: status * 100, ..NewToken::default() });
    }
    api
}

#[tokio::test]
async fn filters_select_matching_tokens() {
    let api = filled();
    for (filter, expected) in [
        ("id:103", vec![103]),
        ("id:\"103\"", vec![103]),
        ("id!:103", vec![101, 104, 105, 106, 107]),
        ("id>105", vec![106, 107]),
        ("id>:105", vec![105, 106, 107]),
        ("id<103", vec![101]),
        ("id<:103", vec![101, 103]),
        ("id:103|105|999", vec![103, 105]),
        ("id!:103|105", vec![101, 104, 106, 107]),
        ("id~10", vec![101, 103, 104, 105, 106, 107]),
        ("id>101,id<105", vec![103, 104]),
        ("id:101||id:107", vec![101, 107]),
        ("status:1,id>104||id:101", vec![101, 106]),
        ("status:1,adminId:32", vec![104, 106]),
        ("createdOn:0", vec![]),
        ("lastUsedOn>150", vec![101, 103, 105, 107]),
        ("adminName:admin", vec![101]),
        ("adminName:\"a*\"", vec![101, 103, 104, 105, 106, 107]),
        ("adminName:\"*-user\"", vec![103, 104, 105, 106, 107]),
        ("adminName:\"a*i*n\"", vec![101]),
        ("roles:\"administrator\"", vec![101]),
        ("createdBy:\"admin\",status:1", vec![104, 106]),
        ("note:\"plain\"", vec![103]),
        ("note:plain", vec![103]),
        ("note:\"PLAIN\"", vec![]),
        ("note~\"lai\"", vec![103]),
        ("note~\"l*n\"", vec![101, 103]),
        ("note!~\"a\"", vec![101, 106]),
        ("note:\"\"", vec![]),
        ("note!:\"\",id:103", vec![103]),
        ("note:\"say \\\"hi\\\"\"", vec![104]),
        ("note:\"a,b|c\\*d\"", vec![105]),
        ("note:\"a,b|c*\"", vec![105]),
        ("note:a\\,b\\|c\\*d", vec![105]),
        ("note~\"\\*\"", vec![105]),
        ("note:\"\\(x\\) \\[y\\] \\$\\&\\#\"", vec![106]),
        ("note:\"(x) [y] $&#\"", vec![106]),
        ("note:\\(x*", vec![106]),
        ("note:\"back\\\\slash\"", vec![107]),
        ("note>\"plain\"", vec![104]),
        ("_all~\"plain\"", vec![103]),
        ("_all~\"administrator\"", vec![101]),
        ("_all!~\"api-user\"", vec![101]),
        ("", vec![101, 103, 104, 105, 106, 107]),
    ] {
        let reply = api.get(&path(filter)).await;
        assert_eq!(reply.status, 200, "{filter}: {reply:?}");
        assert_eq!(reply.ids(), expected, "{filter}");
        assert_eq!(reply.json()["total"], expected.len(), "{filter}");
    }
}

#[tokio::test]
async fn invalid_filters_get_400() {
    let api = filled();
    let long = vec!["id:1"; 1001].join("||");
    for filter in [
        "id",
        "id:",
        "id=1",
        ":1",
        "id:1,",
        "id:1||",
        "id:1|",
        ",id:1",
        "id:x",
        "id:1*",
        "id:\"x\"",
        "id>x",
        "apionly:true",
        "nothing:1",
        "accessKey:\"x\"",
        "note:\"x",
        "note:\"x\"y",
        "note:x\\",
        "note:(x)",
        "note:a\"b",
        "note:[x]",
        "_all>1",
        "id:1 ||id:2",
        "é:1",
        "id : 1",
        &long,
    ] {
        assert_eq!(api.get(&path(filter)).await.error(), (400, 1400), "{filter}");
    }
    let users = "/setting/admins?filter=apionly:maybe";
    assert_eq!(api.get(users).await.error(), (400, 1400));
}

#[tokio::test]
async fn escaped_names_match_any_character() {
    let api = Api::start();
    for name in ["a\"b", "a\\", "x|y,z", "*", "ü(1)"] {
        let id = api.portal.add_user(NewUser { username: name.into(), ..NewUser::default() });
        let escape = |c: char| if c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") };
        let filter = format!("username:\"{}\"", name.chars().map(escape).collect::<String>());
        let path = path(&filter).replace(ALL, "/setting/admins");
        assert_eq!(api.get(&path).await.ids(), [u64::from(id)], "{name}");
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn an_escaped_note_matches_only_its_token(note in any::<String>()) {
        let escaped: String = note.chars().flat_map(|c| ['\\', c]).collect();
        let (ids, id) = block_on(async {
            let api = filled();
            let id = api.token(NewToken { note: note.clone(), ..NewToken::default() }).id;
            (api.get(&path(&format!("note:\"{escaped}\",id>107"))).await.ids(), u64::from(id))
        });
        prop_assert_eq!(ids, [id]);
    }

    #[test]
    fn no_filter_stops_the_sandbox(filter in "[a-z_*|,:!<>~\"\\\\() 0-9é]{0,40}") {
        let status = block_on(async { filled().get(&path(&format!("id{filter}"))).await.status });
        prop_assert!(status == 200 || status == 400);
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
