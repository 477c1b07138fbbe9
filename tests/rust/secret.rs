//! Secrets are readable through `reveal` only.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::ops::Deref;

use bytes::Bytes;
use lmtokens::testing::client::{Client, Method, Moment, RawResponse, Request, Response};
use lmtokens::testing::clock::SystemClock;
use lmtokens::testing::credentials::{Arguments, Credentials};
use lmtokens::testing::error::{Error, ErrorKind};
use lmtokens::testing::model::{self, Token, TokenType};
use lmtokens::testing::network::{self, Network};
use lmtokens::testing::sandbox::{NewToken, Portal, Settings};
use lmtokens::testing::secret::{MASK, Secret};
use lmtokens::testing::signer::Signer;
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{ACCESS_ID, identity, secret};

const BASE_URL: &str = "https://acme.logicmonitor.com/santaba/rest";

const MARKER: &str = "markerSecretThatOpensNothing";

fn assert_hidden(what: &str, value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(MARKER), "{what}: {shown}");
    }
}

fn created() -> Value {
    json!({ "id": 248, "accessId": ACCESS_ID, "accessKey": MARKER })
}

fn token() -> Token {
    let token =
        Token::from_json(created().to_string().as_bytes(), model::Origin::Create, &TokenType::Lmv1).unwrap();
    assert_eq!(token.access_key, Some(secret(MARKER)));
    token
}

#[test]
fn values_with_a_secret_do_not_show_it() {
    assert_hidden("Secret", &secret(MARKER));
    assert_hidden("Option<Secret>", &Some(secret(MARKER)));
    assert_hidden("Token", &token());
    let arguments = Arguments {
        access_id: Some(secret(MARKER)),
        access_key: Some(secret(MARKER)),
        bearer_token: Some(secret(MARKER)),
        ..Arguments::default()
    };
    assert_hidden("Arguments", &arguments);
    let bearer = Credentials::from_bearer(secret(MARKER)).unwrap();
    let kinds = [
        Credentials::from_pair(Some(ACCESS_ID), secret(MARKER)).unwrap(),
        // Swapped: the key is in the id's place.
        Credentials::from_pair(Some(MARKER), secret("other(key)")).unwrap(),
        bearer.clone(),
    ];
    for credentials in kinds {
        assert_hidden("Credentials", &credentials);
        let whole = identity(BASE_URL, credentials);
        assert_hidden("Identity", &whole);
        assert_hidden("Client", &Client::new(whole, None));
    }
    let proxied = network::Arguments {
        proxy: Some(secret(&format!("http://user:{MARKER}@proxy.example.com:3128"))),
        ..network::Arguments::default()
    };
    assert_hidden("network::Arguments", &proxied);
    let network = Network::of_arguments(&proxied).unwrap();
    assert!(network.proxy().is_some());
    assert_hidden("Network", &network);
    assert_hidden("Signer", &Signer::new(identity(BASE_URL, bearer), Box::new(SystemClock)));
}

#[test]
fn the_masked_bearer_token_of_a_list_is_not_shown() {
    let listed =
        Token::from_json(created().to_string().as_bytes(), model::Origin::Other, &TokenType::Bearer).unwrap();
    assert_eq!(listed.masked_bearer, Some(secret(MARKER)));
    assert_hidden("Token of a list", &listed);
}

#[test]
fn errors_do_not_show_the_secrets_of_their_candidates() {
    let mut cause = Error::new(ErrorKind::Response, "no answer");
    cause.details_mut().candidates = Some(vec![token()]);
    let mut error = Error::new(ErrorKind::OutcomeUnknown, "who knows").suggest("look").caused_by(cause);
    error.details_mut().candidates = Some(vec![token()]);
    assert_hidden("Error", &error);
    assert_hidden("Details", error.details());
    assert!(!error.to_string().contains(MARKER));
    assert_hidden("Details, kept", &error.into_details());
}

/// The response to a create contains the secret as plain text.
#[tokio::test]
async fn the_response_to_a_create_does_not_show_the_secret() {
    let portal = Portal::start(Settings::default()).unwrap();
    let credentials = Credentials::from_bearer(portal.bearer_token()).unwrap();
    let client = Client::new(identity(&portal.base_url(), credentials), None);
    let create = Request {
        method: Method::Post,
        endpoint: "/setting/admins/{adminId}/apitokens",
        resource_path: "/setting/admins/32/apitokens".to_owned(),
        query: Vec::new(),
        body: Some(b"{}".to_vec()),
    };
    let answer = client.send(&create).await.unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let key = body["accessKey"].as_str().unwrap();
    assert!(!format!("{answer:?}{answer:#?}").contains(key), "Response: {answer:?}");

    let body = Bytes::from(created().to_string());
    assert_hidden("Response", &Response { status: 200, body, date: None, rate: None, sent: Moment::at(0) });
    let body = Bytes::from(created().to_string());
    let received =
        RawResponse { status: 200, date: None, rate: None, redirect_host: None, compression: None, body };
    assert_hidden("RawResponse", &received);
}

#[test]
fn the_sandbox_does_not_show_its_secrets() {
    let portal = Portal::start(Settings::default()).unwrap();
    let stored = portal.create_token(NewToken::default()).unwrap();
    let shown = format!("{portal:?} {stored:?} {:?} {:?}", portal.tokens(), portal.record());
    for hidden in [portal.access_key(), portal.bearer_token(), stored.access_key] {
        assert!(hidden.reveal().len() > 20 && !shown.contains(hidden.reveal()), "{shown}");
    }
}

#[test]
fn the_mask_is_constant() {
    let shown = |text: &str| format!("{:?}", secret(text));
    assert_eq!(shown(""), format!("Secret({MASK})"));
    for text in ["x", MARKER, "lmb_bearer", "lma_key", MASK, "\u{e9}\n"] {
        assert_eq!(shown(text), shown(""), "of {text:?}");
    }
    assert_eq!(format!("{:40?}", secret("x")), format!("{:40?}", secret(MARKER)));
}

#[test]
fn secrets_are_equal_if_their_texts_are() {
    let one = secret(MARKER);
    assert!(one == one.clone() && one == secret(MARKER));
    assert_eq!(one.reveal(), MARKER);
    for other in
        ["", "markerSecretThatOpensNothin", "markerSecretThatOpensNothing!", "MarkerSecretThatOpensNothing"]
    {
        assert!(one != secret(other), "{other:?}");
    }
}

/// Tells whether a type implements a trait: an inherent constant shadows the fallback's.
struct Has<T>(PhantomData<T>);

trait Fallback {
    const DISPLAY: bool = false;
    const SERIALIZE: bool = false;
    const DEREF: bool = false;
    const TEXT: bool = false;
}

impl<T> Fallback for Has<T> {}

impl<T: Display> Has<T> {
    const DISPLAY: bool = true;
}

impl<T: Serialize> Has<T> {
    const SERIALIZE: bool = true;
}

impl<T: Deref> Has<T> {
    const DEREF: bool = true;
}

impl<T: AsRef<str>> Has<T> {
    const TEXT: bool = true;
}

#[test]
fn no_trait_exposes_the_text() {
    // A type with all four traits shows that the checks work.
    let text = [Has::<String>::DISPLAY, Has::<String>::SERIALIZE, Has::<String>::DEREF, Has::<String>::TEXT];
    assert_eq!(text, [true; 4]);
    let secret =
        [Has::<Secret>::DISPLAY, Has::<Secret>::SERIALIZE, Has::<Secret>::DEREF, Has::<Secret>::TEXT];
    assert_eq!(secret, [false; 4]);
    assert_eq!([Has::<Credentials>::DISPLAY, Has::<Credentials>::SERIALIZE], [false; 2]);
    assert_eq!([Has::<Token>::DISPLAY, Has::<Token>::SERIALIZE], [false; 2]);
}
