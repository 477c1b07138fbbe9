//! Tolerant reading of the portal's JSON.

use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::ids::{AdminId, MAX_ID, Status, TokenId, Type};
use lmtokens::testing::model::{Origin, Token, TokenStatus, TokenType, iso_8601};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::secret;

fn read(value: &Value) -> Option<Token> {
    read_as(value, Origin::Create, &TokenType::Lmv1)
}

fn read_as(value: &Value, origin: Origin, requested: &TokenType) -> Option<Token> {
    Token::from_json(value.to_string().as_bytes(), origin, requested)
}

/// Reads a token with one additional member.
fn with(name: &str, value: &Value) -> Token {
    let mut members = Map::from_iter([("id".to_owned(), json!(248))]);
    members.insert(name.to_owned(), value.clone());
    read(&Value::Object(members)).unwrap_or_else(|| panic!("a token with {name} {value} is not read"))
}

#[test]
fn every_documented_member_is_read() {
    let token = read(&json!({
        "id": 248,
        "type": "lmv1",
        "accessId": "exampleAccessId00001",
        "accessKey": "unit+test(key)",
        "adminId": 32,
        "adminName": "svc",
        "roles": ["readonly", "ops"],
        "status": 1,
        "note": "ci",
        "createdBy": "root",
        "createdOn": 1_700_000_000,
        "lastUsedOn": 1_700_000_001,
        "lastAuthIp": "192.0.2.1",
        "userPermission": "write",
    }));
    let expected = Token {
        portal: None,
        id: 248,
        r#type: TokenType::Lmv1,
        access_id: Some("exampleAccessId00001".to_owned()),
        access_key: Some(secret("unit+test(key)")),
        masked_bearer: None,
        admin_id: Some(32),
        admin_name: Some("svc".to_owned()),
        status: Some(TokenStatus::Disabled),
        marker: None,
        note: Some("ci".to_owned()),
        roles: vec!["readonly".to_owned(), "ops".to_owned()],
        created_by: Some("root".to_owned()),
        created_on: Some(1_700_000_000),
        last_used_on: Some(1_700_000_001),
        was_used: true,
        last_auth_ip: Some("192.0.2.1".to_owned()),
        user_permission: Some("write".to_owned()),
    };
    assert_eq!(token, Some(expected));
}

#[test]
fn missing_null_empty_and_mistyped_members_are_none() {
    let bare = read(&json!({ "id": 248 })).unwrap();
    let empty = Token {
        portal: None,
        id: 248,
        r#type: TokenType::Lmv1,
        access_id: None,
        access_key: None,
        masked_bearer: None,
        admin_id: None,
        admin_name: None,
        status: None,
        marker: None,
        note: None,
        roles: Vec::new(),
        created_by: None,
        created_on: None,
        last_used_on: None,
        was_used: false,
        last_auth_ip: None,
        user_permission: None,
    };
    assert_eq!(bare, empty);
    let names = [
        "type",
        "accessId",
        "accessKey",
        "adminId",
        "adminName",
        "roles",
        "status",
        "createdBy",
        "createdOn",
        "lastUsedOn",
        "lastAuthIp",
        "userPermission",
    ];
    for name in names {
        for value in [json!(null), json!(""), json!([]), json!({}), json!(true), json!([[null]])] {
            let was_used = name == "lastUsedOn" && !(value.is_null() || value == "");
            assert_eq!(with(name, &value), Token { was_used, ..empty.clone() }, "{name}: {value}");
        }
    }
    for value in [json!(null), json!(7), json!({}), json!(["ci"])] {
        assert_eq!(with("note", &value), empty, "note: {value}");
    }
    assert_eq!(with("note", &json!("")).note.as_deref(), Some(""), "an empty note is a note");
    assert_eq!(with("newlyInvented", &json!({ "id": [1], "accessKey": "no" })), empty);
}

#[test]
fn a_value_without_an_id_is_not_a_token() {
    for value in [
        json!(null),
        json!(248),
        json!("248"),
        json!([]),
        json!([{ "id": 248 }]),
        json!({}),
        json!({ "id": null }),
        json!({ "id": "x" }),
        json!({ "id": "" }),
        json!({ "id": 2.5 }),
        json!({ "id": [248] }),
        json!({ "ID": 248 }),
        json!({ "id": u64::MAX }),
    ] {
        assert_eq!(read(&value), None, "{value}");
    }
    assert_eq!(read(&json!({ "id": "248" })).unwrap().id, 248);
    assert_eq!(read(&json!({ "id": " 248\n" })).unwrap().id, 248);
}

#[test]
fn the_type_is_the_portals_or_else_the_requested_one() {
    for (given, requested, expected) in [
        (json!(null), TokenType::Lmv1, TokenType::Lmv1),
        (json!(null), TokenType::Bearer, TokenType::Bearer),
        (json!(""), TokenType::Bearer, TokenType::Bearer),
        (json!(3), TokenType::Bearer, TokenType::Bearer),
        (json!("bearer"), TokenType::Lmv1, TokenType::Bearer),
        (json!("Bearer"), TokenType::Lmv1, TokenType::Bearer),
        (json!("LMv1"), TokenType::Bearer, TokenType::Lmv1),
        (json!("LMv1 "), TokenType::Bearer, TokenType::Lmv1),
        (json!("oauth"), TokenType::Lmv1, TokenType::Other("oauth".to_owned())),
    ] {
        let token = read_as(&json!({ "id": 1, "type": given }), Origin::Other, &requested).unwrap();
        assert_eq!(token.r#type, expected, "{given}");
    }
    let token = read_as(&json!({ "id": 1 }), Origin::Other, &TokenType::Bearer).unwrap();
    assert_eq!(token.r#type, TokenType::Bearer);
}

#[test]
fn a_status_is_known_other_or_none() {
    for (given, expected) in [
        (json!(1), Some(TokenStatus::Disabled)),
        (json!(2), Some(TokenStatus::Enabled)),
        (json!("2"), Some(TokenStatus::Enabled)),
        (json!(0), Some(TokenStatus::Other(0))),
        (json!(3), Some(TokenStatus::Other(3))),
        (json!(-1), Some(TokenStatus::Other(-1))),
        (json!(2.0), Some(TokenStatus::Enabled)),
        (json!("1.0"), Some(TokenStatus::Disabled)),
        (json!("Enabled "), Some(TokenStatus::Enabled)),
        (json!("active"), Some(TokenStatus::Enabled)),
        (json!("disabled"), Some(TokenStatus::Disabled)),
        (json!("suspended"), Some(TokenStatus::Disabled)),
        (json!("not disabled"), None),
        (json!("disabled?"), None),
        (json!("inactive"), None),
        (json!(2.5), None),
        (json!(1.000_1), None),
    ] {
        assert_eq!(with("status", &given).status, expected, "{given}");
        assert_eq!(
            expected.map(TokenStatus::number),
            expected.and_then(|_| with("status", &given).status).map(TokenStatus::number)
        );
    }
}

#[test]
fn roles_are_read_from_every_shape() {
    for (given, expected) in [
        (json!(["readonly", "ops"]), vec!["readonly", "ops"]),
        (json!([{ "id": 1, "name": "readonly" }, { "name": "ops" }]), vec!["readonly", "ops"]),
        (json!(["readonly", { "name": "ops" }, null, 3, { "id": 4 }]), vec!["readonly", "ops"]),
        (json!("readonly"), vec!["readonly"]),
        (json!({ "name": "readonly" }), vec!["readonly"]),
        (json!(3), vec![]),
    ] {
        assert_eq!(with("roles", &given).roles, expected, "{given}");
    }
}

#[test]
fn times_are_converted_to_seconds() {
    for (given, expected) in [
        (json!(1_700_000_000), Some(1_700_000_000)),
        (json!("1700000000"), Some(1_700_000_000)),
        (json!(1_700_000_000_000_i64), Some(1_700_000_000)),
        (json!("1700000000000"), Some(1_700_000_000)),
        (json!(1), Some(1)),
        (json!(10_000_000_000_i64), Some(10_000_000_000)),
        (json!(10_000_000_001_i64), Some(10_000_000)),
        (json!(253_402_300_799_000_i64), Some(253_402_300_799)),
        (json!(253_402_300_800_000_i64), None),
        (json!(0), None),
        (json!("0"), None),
        (json!(-1), None),
        (json!(-1_700_000_000), None),
        (json!(i64::MAX), None),
        (json!(i64::MIN), None),
        (json!(u64::MAX), None),
        (json!(1e300), None),
        (json!("yesterday"), None),
        (json!("2023-11-14T22:13:20Z"), None),
    ] {
        assert_eq!(with("createdOn", &given).created_on, expected, "{given}");
        assert_eq!(with("lastUsedOn", &given).last_used_on, expected, "{given}");
    }
}

/// Only an unused token may be deleted as an orphan.
#[test]
fn a_last_use_that_cannot_be_read_is_a_use() {
    for (given, expected) in [
        ("null", (false, None)),
        ("0", (false, None)),
        ("-0", (false, None)),
        ("0.0", (false, None)),
        (r#""""#, (false, None)),
        (r#""0""#, (false, None)),
        ("1700000000", (true, Some(1_700_000_000))),
        ("1.7e9", (true, Some(1_700_000_000))),
        (r#"" 1700000000.9 ""#, (true, Some(1_700_000_000))),
        (r#"" ""#, (true, None)),
        (r#""00""#, (true, None)),
        (r#""never""#, (true, None)),
        ("-1", (true, None)),
        ("0.5", (true, None)),
        ("1e999", (true, None)),
        ("-1e999", (true, None)),
        ("99999999999999999999", (true, None)),
        ("false", (true, None)),
        ("[]", (true, None)),
        (r#"{"seconds":0}"#, (true, None)),
    ] {
        let json = format!(r#"{{"id":1,"lastUsedOn":{given}}}"#);
        let token = Token::from_json(json.as_bytes(), Origin::Other, &TokenType::Lmv1).unwrap();
        assert_eq!((token.was_used, token.last_used_on), expected, "{given}");
    }
}

#[test]
fn the_last_of_several_members_of_a_name_counts() {
    let json = br#"{"id":1,"status":1,"status":2,"id":248,"note":"a","note":null}"#;
    let token = Token::from_json(json, Origin::Other, &TokenType::Lmv1).unwrap();
    assert_eq!((token.id, token.status, token.note), (248, Some(TokenStatus::Enabled), None));
}

#[test]
fn what_is_not_json_is_not_a_token() {
    for json in [
        &b""[..],
        b"{",
        b"{\"id\":1",
        b"{\"id\":1}}",
        b"{\"id\":1,}",
        b"\xff",
        b"{\"id\":1,\"note\":\"\xff\"}",
    ] {
        assert_eq!(Token::from_json(json, Origin::Other, &TokenType::Lmv1), None, "{json:?}");
    }
}

#[test]
fn only_a_create_has_a_secret() {
    let value = json!({ "id": 248, "accessId": "exampleAccessId00001", "accessKey": "unit+test(key)" });
    assert_eq!(read(&value).unwrap().access_key, Some(secret("unit+test(key)")));
    let listed = read_as(&value, Origin::Other, &TokenType::Lmv1).unwrap();
    assert_eq!((listed.access_key, listed.access_id.as_deref()), (None, Some("exampleAccessId00001")));
    // The visible start of a bearer token shows whether it is the caller's own; it is kept as a secret.
    let masked = json!({ "id": 248, "accessKey": "lmb_unit-test****", "type": "bearer" });
    let listed = read_as(&masked, Origin::Other, &TokenType::Bearer).unwrap();
    assert_eq!((listed.access_key, listed.masked_bearer), (None, Some(secret("lmb_unit-test****"))));
    let created = read_as(&masked, Origin::Create, &TokenType::Bearer).unwrap();
    assert_eq!((created.access_key, created.masked_bearer), (Some(secret("lmb_unit-test****")), None));
}

#[test]
fn iso_8601_is_readable_by_every_python() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00+00:00"),
        (1_700_000_000, "2023-11-14T22:13:20+00:00"),
        (951_782_400, "2000-02-29T00:00:00+00:00"),
        (253_402_300_799, "9999-12-31T23:59:59+00:00"),
        (-1, "1969-12-31T23:59:59+00:00"),
        (i64::MAX, ""),
        (i64::MIN, ""),
    ] {
        assert_eq!(iso_8601(seconds), expected, "{seconds}");
    }
}

#[test]
fn invalid_statuses_and_types_are_rejected_with_the_accepted_words() {
    for (word, expected) in [
        ("enabled", Status::Enabled),
        ("ACTIVE", Status::Enabled),
        ("Disabled", Status::Disabled),
        ("suspended", Status::Disabled),
    ] {
        assert_eq!(word.parse::<Status>().unwrap(), expected);
    }
    assert_eq!(Status::from_number(1).unwrap(), Status::Disabled);
    assert_eq!(Status::from_number(2).unwrap(), Status::Enabled);
    let errors = [
        "on".parse::<Status>().unwrap_err(),
        "".parse::<Status>().unwrap_err(),
        "enabled ".parse::<Status>().unwrap_err(),
        Status::from_number(0).unwrap_err(),
        Status::from_number(3).unwrap_err(),
        Status::from_number(i64::MIN).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Argument);
        for accepted in ["1", "2", "enabled", "disabled"] {
            assert!(error.to_string().contains(accepted), "{error}");
        }
    }
    assert_eq!("LMv1".parse::<Type>().unwrap(), Type::Lmv1);
    assert_eq!("bearer".parse::<Type>().unwrap(), Type::Bearer);
    for word in ["", "API Token", "lmv2", "bearer "] {
        let error = word.parse::<Type>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
        assert!(error.to_string().contains("lmv1") && error.to_string().contains("bearer"), "{error}");
    }
    // LMv1 is the portal's default and has no query value.
    assert_eq!((Type::Lmv1.query_value(), Type::Bearer.query_value()), (None, Some("bearer")));
}

#[test]
fn user_ids_are_positive_32_bit_integers() {
    for id in [1, 32, MAX_ID] {
        assert_eq!((AdminId::new(id).unwrap().get(), TokenId::new(id).unwrap().get()), (id, id));
    }
    for id in [0, -1, MAX_ID + 1, i64::MAX, i64::MIN] {
        let error = AdminId::new(id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
        assert!(
            error.to_string().contains("admin_id") && error.to_string().contains("2147483647"),
            "{error}"
        );
    }
}

/// Arbitrary JSON that often has the names and shapes of tokens.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "-?[0-9]{1,20}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "id", "type", "accessId", "accessKey", "adminId", "roles", "status", "note", "createdOn", "lastUsedOn",
            "name",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(3, 30, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_a_token_or_none(value in any_json(), id: i64) {
        drop(read(&value));
        let mut members = value.as_object().cloned().unwrap_or_default();
        members.insert("id".to_owned(), json!(id));
        let token = read(&Value::Object(members.clone())).unwrap();
        prop_assert_eq!(token.id, id);
        for time in [token.created_on, token.last_used_on].into_iter().flatten() {
            prop_assert!(!iso_8601(time).is_empty(), "{}", time);
        }
        let listed = read_as(&Value::Object(members), Origin::Other, &TokenType::Lmv1).unwrap();
        prop_assert_eq!(listed.access_key, None);
    }

    #[test]
    fn any_time_is_formatted_or_empty(seconds: i64) {
        let text = iso_8601(seconds);
        prop_assert!(text.is_empty() || text.ends_with("+00:00"), "{}", text);
    }
}
