//! Signing a create, and parsing a created token and a page of 1,000 tokens.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use lmtokens::testing::ids::Type;
use lmtokens::testing::lmv1::{Request, SigningKey};
use lmtokens::testing::model::{Origin, Token, TokenType};
use lmtokens::testing::tokens::tokens_of_page;

const PAGE_SIZE: usize = 1_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    sign(&mut criterion);
    parse_token(&mut criterion);
    parse_page(&mut criterion);
    criterion.final_summary();
}

fn sign(criterion: &mut Criterion) {
    let request = Request {
        method: "POST",
        timestamp_ms: 1_700_000_000_000,
        body: br#"{"note":"ci","status":2}"#,
        resource_path: "/setting/admins/32/apitokens",
    };
    let key = SigningKey::new(b"invented-access-key");
    criterion.bench_function("sign a create", |bencher| {
        bencher.iter(|| black_box(request).authorization("exampleAccessId00001", black_box(&key)));
    });
}

fn parse_token(criterion: &mut Criterion) {
    let body = token(248, r#""invented-access-key""#);
    criterion.bench_function("parse a created token", |bencher| {
        bencher.iter(|| Token::from_json(black_box(body.as_bytes()), Origin::Create, &TokenType::Lmv1));
    });
}

fn parse_page(criterion: &mut Criterion) {
    let items: Vec<_> = (1..=PAGE_SIZE).map(|id| token(id, "null")).collect();
    let body = format!(r#"{{"total":{PAGE_SIZE},"items":[{}],"searchId":null}}"#, items.join(","));
    assert_eq!(tokens_of_page(body.as_bytes(), Type::Lmv1).map(|tokens| tokens.len()).ok(), Some(PAGE_SIZE));
    let mut group = criterion.benchmark_group("parse a page");
    group.throughput(Throughput::Elements(PAGE_SIZE as u64));
    group.bench_function("of 1,000 tokens", |bencher| {
        bencher.iter(|| tokens_of_page(black_box(body.as_bytes()), Type::Lmv1));
    });
    group.finish();
}

/// Returns a token as the portal sends it.
fn token(id: usize, access_key: &str) -> String {
    format!(
        concat!(
            r#"{{"id":{},"accessId":"invented{:012}","accessKey":{},"adminId":32,"adminName":"api-user","#,
            r#""roles":["administrator"],"status":2,"note":"ci","createdBy":"admin","createdOn":1700000000,"#,
            r#""lastUsedOn":0,"lastAuthIp":"","userPermission":"write"}}"#
        ),
        id, id, access_key
    )
}
