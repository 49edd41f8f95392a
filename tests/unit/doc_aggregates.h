/* A part of test_protocol_doc.c, whose `encoded` and `struct vector` it uses: the vectors of aggregates. */
#ifndef TEST_DOC_AGGREGATES_H
#define TEST_DOC_AGGREGATES_H

static void check_aggregate_heads(struct ki_reader *r, struct ki_writer *w)
{
    struct ki_aggregate_head head;
    while (r->left > 0) {
        assert_true(ki_decode_aggregates_head(r, &head));
        ki_encode_aggregates_head(w, &head);
    }
}

static void check_aggregate_values(struct ki_reader *r, struct ki_writer *w, enum ki_aggregate_kind kind)
{
    struct ki_values_table table;
    struct ki_values_owner owner;
    struct ki_value value;
    assert_true(ki_decode_values_table(r, &table) && ki_values_fine(*r, &table));
    ki_encode_values_front(w, kind, table.count);
    for (unsigned i = 0; i < table.count; i++) {
        struct ki_meaning meaning;
        ki_encode_values_schema(w, &table.schemas[i]);
        assert_true(table.schemas[i].bytes.len == 0 || ki_schema_decode(table.schemas[i].bytes, &meaning));
    }
    while (r->left > 0) {
        assert_true(ki_decode_values_owner(r, &owner));
        ki_encode_values_owner(w, &owner);
        uint64_t before = owner.base;
        for (uint64_t i = 0; i < owner.count; i++) {
            assert_true(ki_decode_value(r, &table, &owner, before, &value));
            ki_encode_value(w, before, &value);
            before = value.version;
        }
    }
}

static void check_aggregate_message(struct ki_reader *r, enum ki_aggregate_kind kind, struct ki_writer *w)
{
    struct ki_bucket bucket;
    uint64_t root;
    bool is_whole;
    switch (kind) {
    case KI_AGGREGATES_ROOT:
        assert_true(ki_decode_aggregates_root(r, &bucket, &root));
        ki_encode_aggregates_root(w, &bucket, root);
        return;
    case KI_AGGREGATES_HEADS:
        assert_true(ki_decode_aggregates_heads_front(r, &bucket, &is_whole));
        ki_encode_aggregates_heads_front(w, &bucket, is_whole);
        check_aggregate_heads(r, w);
        return;
    case KI_AGGREGATES_WANT:
        ki_encode_aggregates_want_front(w);
        check_aggregate_heads(r, w);
        return;
    case KI_AGGREGATES_VALUES:
    case KI_AGGREGATES_VALUES_ON:
        check_aggregate_values(r, w, kind);
        return;
    }
    fail();
}

/* A name, and numbers that follow from it. */
static bool check_aggregate_hashes(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    size_t len = (size_t)ki_take_be(&r, 1);
    struct ki_span name = ki_span(ki_take(&r, len), len);
    if (strcmp(v->kind, "claim-hash") == 0) {
        assert_true(ki_take_be(&r, 8) == ki_shortlist_hash(name));
    } else if (strcmp(v->kind, "overlay-places") == 0) {
        uint64_t hash = ki_overlay_hash(name);
        assert_true(ki_take_be(&r, 8) == hash);
        for (uint32_t ring = 0; ring < KI_OVERLAY_RINGS; ring++)
            assert_true(ki_take_be(&r, 8) == ki_overlay_place(hash, ring));
    } else {
        return false;
    }
    assert_true(!r.bad && r.left == 0);
    return true;
}

static bool check_network(const struct vector *v)
{
    static const char *const kinds[] = {"network-request", "network-reply", "network-claims"};
    struct ki_reader r = ki_reader(v->in + 3, v->in_len - 3);
    struct ki_writer w = ki_writer(encoded, sizeof(encoded));
    struct ki_network_front front;
    struct ki_network_claim claim;
    struct ki_meaning meaning;
    bool is_good = strncmp(v->kind, "network-", 8) == 0;
    if (!is_good && strcmp(v->kind, "malformed-network") != 0)
        return false;
    assert_true(v->in[2] >= KI_NETWORK_REQUEST && v->in[2] <= KI_NETWORK_CLAIMS);
    enum ki_network_kind kind = (enum ki_network_kind)v->in[2];
    assert_int_equal(ki_decode_network_front(&r, kind, &front), is_good);
    if (!is_good)
        return true;
    assert_string_equal(v->kind, kinds[kind - KI_NETWORK_REQUEST]);
    bool has_schema = front.schema.len > 0;
    assert_true(!has_schema || (ki_schema_decode(front.schema, &meaning) && ki_schema_id(front.schema) == front.id));
    ki_put_u8(&w, 8);
    ki_encode_network_front(&w, kind, &front);
    while (r.left > 0) {
        assert_true(ki_decode_network_claim(&r, &claim));
        ki_encode_network_claim(&w, &claim);
    }
    assert_true(ki_span_equal(ki_span(encoded, w.len), ki_span(v->in, v->in_len)));
    return true;
}

static bool check_aggregates(const struct vector *v)
{
    if (check_aggregate_hashes(v) || check_network(v))
        return true;
    static const char *const kinds[] = {"aggregates-root", "aggregates-heads", "aggregates-want", "aggregates-values",
                                        "aggregates-values"};
    struct ki_span in = ki_span(v->in, v->in_len);
    struct ki_writer w = ki_writer(encoded, sizeof(encoded));
    struct ki_reader r = ki_reader(v->in + 3, v->in_len - 3);
    struct ki_meaning meaning;
    if (strcmp(v->kind, "aggregate-schema") == 0) {
        assert_true(ki_schema_decode(in, &meaning) && ki_schema_id(in) == 0x44ebd3d602e916bd);
        w.len = ki_schema_encode(encoded, &meaning);
    } else if (strcmp(v->kind, "malformed-aggregate-schema") == 0) {
        assert_false(ki_schema_decode(in, &meaning));
        return true;
    } else if (strncmp(v->kind, "aggregates-", 11) == 0) {
        assert_true(v->in[2] >= KI_AGGREGATES_ROOT && v->in[2] <= KI_AGGREGATES_VALUES_ON);
        assert_string_equal(v->kind, kinds[v->in[2] - KI_AGGREGATES_ROOT]);
        ki_put_u8(&w, 8);
        check_aggregate_message(&r, (enum ki_aggregate_kind)v->in[2], &w);
    } else {
        return false;
    }
    assert_true(ki_span_equal(ki_span(encoded, w.len), in));
    return true;
}

#endif
