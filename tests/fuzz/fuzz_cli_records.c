/* Records of the RPC's streams, as an agent may send them: any bytes are refused, or printed as text that drives no terminal
 * and as JSON that parses again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/event_record.h"
#include "cli/pool_query.h"
#include "scenario/lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void records_text(const struct ki_event_record *record)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    LONE_CHECK(file);
    ki_event_record_print(file, record);
    fclose(file);
    for (size_t i = 0; i < len; i++)
        LONE_CHECK((uint8_t)text[i] >= 0x20 && text[i] != 0x7f);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ki_event_record record;
    struct ki_query_record answer;
    if (ki_event_record_read(&record, ki_span(data, size))) {
        records_text(&record);
        json_t *object = ki_event_record_json(&record);
        char *json = json_dumps(object, JSON_COMPACT);
        LONE_CHECK(json && !strchr(json, '\n'));
        json_t *again = json_loads(json, JSON_ALLOW_NUL, NULL);
        LONE_CHECK(again && json_equal(object, again));
        json_decref(again);
        json_decref(object);
        free(json);
    }
    ki_event_record_free(&record);
    if (ki_query_record_read(&answer, ki_span(data, size)) && answer.kind == KI_QUERY_RESPONSE) {
        json_t *object = json_object();
        LONE_CHECK(ki_json_set_payload(object, answer.payload) == 0);
        json_decref(object);
    }
    return 0;
}
