//! Pages, sorting and the selection of fields.

use lmtokens::testing::sandbox::{Behavior, NewToken, Settings, TokenType};
use serde_json::json;

use super::Api;

const ALL: &str = "/setting/admins/apitokens";

fn filled(count: usize, settings: Settings) -> Api {
    let api = Api::with(settings);
    for number in 0..count {
        let note = format!("n{}", number % 3);
        api.token(NewToken { admin_id: 32 + u32::from(number % 2 == 1), note, ..NewToken::default() });
    }
    api
}

#[tokio::test]
async fn pages_have_50_items_and_offset_selects_the_next() {
    let api = filled(119, Settings::default());
    let first = api.get(ALL).await;
    assert_eq!(first.json()["total"], 120);
    assert_eq!(first.json()["searchId"], json!(null));
    assert_eq!(first.ids().len(), 50);
    let mut ids = first.ids();
    ids.extend(api.get(&format!("{ALL}?offset=50")).await.ids());
    ids.extend(api.get(&format!("{ALL}?offset=100&size=50")).await.ids());
    assert_eq!(ids.len(), 120);
    assert!(ids.is_sorted());
    assert_eq!(api.get(&format!("{ALL}?offset=120")).await.ids(), [0; 0]);
    assert_eq!(api.get(&format!("{ALL}?size=1000")).await.ids().len(), 120);
    assert_eq!(api.get("/setting/admins/33/apitokens").await.json()["total"], 59);
}

#[tokio::test]
async fn invalid_sizes_and_offsets_get_400() {
    let api = Api::start();
    for query in ["size=1001", "size=0", "size=-1", "size=x", "size=", "offset=-1", "offset=1.5"] {
        assert_eq!(api.get(&format!("{ALL}?{query}")).await.error(), (400, 1400), "{query}");
    }
    assert_eq!(api.get(&format!("{ALL}?offset=18446744073709551615")).await.ids(), [0; 0]);
}

#[tokio::test]
async fn totals_can_be_negative() {
    let api = filled(3, Behavior { negative_totals: true, ..Behavior::default() }.into());
    assert_eq!(api.get(ALL).await.json()["total"], -4);
}

#[tokio::test]
async fn each_token_type_has_its_own_list() {
    let api = Api::start();
    api.token(NewToken { r#type: TokenType::Bearer, ..NewToken::default() });
    assert_eq!(api.get(ALL).await.ids(), [101]);
    assert_eq!(api.get(&format!("{ALL}?type=bearer")).await.ids(), [102, 103]);
    assert_eq!(api.get(&format!("{ALL}?type=bearer&permission=traces")).await.ids(), [102, 103]);
    assert_eq!(api.get(&format!("{ALL}?type=both")).await.error(), (400, 1400));
}

#[tokio::test]
async fn sorting_accepts_several_keys_in_every_spelling() {
    let api = filled(4, Settings::default());
    let ids = async |sort: &str| api.get(&format!("{ALL}?sort={sort}")).await.ids();
    for ascending in ["+id", "%2Bid", "id"] {
        assert_eq!(ids(ascending).await, [101, 103, 104, 105, 106]);
    }
    assert_eq!(ids("-id").await, [106, 105, 104, 103, 101]);
    assert_eq!(ids("-adminId,%2Bid").await, [104, 106, 103, 105, 101]);
    assert_eq!(ids("+note,-id").await, [101, 106, 103, 104, 105]);
    for bad in ["nothing", "-", "+id,,"] {
        assert_eq!(api.get(&format!("{ALL}?sort={bad}")).await.error(), (400, 1400), "{bad}");
    }
}

#[tokio::test]
async fn fields_select_members() {
    let api = Api::start();
    let item =
        async |fields: &str| api.get(&format!("{ALL}?fields={fields}")).await.json()["items"][0].clone();
    assert_eq!(item("id,status").await, json!({"id": 101, "status": 2}));
    assert_eq!(item("adminName,nothing").await, json!({"adminName": "admin"}));
    assert_eq!(item("*").await.as_object().unwrap().len(), 13);
    assert_eq!(item("").await.as_object().unwrap().len(), 13);
}

#[tokio::test]
async fn users_are_listed_with_their_lmv1_tokens() {
    let api = Api::start();
    api.token(NewToken { note: "mine".into(), ..NewToken::default() });
    let users = api.get("/setting/admins?filter=username:%22api-user%22").await;
    assert_eq!(users.ids(), [32]);
    let user = &users.json()["items"][0];
    assert_eq!((&user["apionly"], &user["apiTokens"][0]["note"]), (&json!(true), &json!("mine")));
    let others = api.get("/setting/admins?filter=apionly:false&fields=id").await;
    assert_eq!(others.ids(), [1, 33]);
}
