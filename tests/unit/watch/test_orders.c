/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"

#include "watch/orders.h"

#include <string.h>

static const struct order *order_at(const struct packet *packet, size_t at)
{
    return (const struct order *)(const void *)(packet->bytes + at);
}

static void orders_stand_one_behind_another(void **state)
{
    static struct packet packet;
    const struct order entry = {.kind = ORDER_ENTRY, .nodeid = 7, .parent = 9, .generation = 3, .echo = 1};
    const struct order data = {.kind = ORDER_DATA, .nodeid = 8};
    packet.n_bytes = 0;
    assert_true(packet_add(&packet, &entry, "name"));
    assert_true(packet_add(&packet, &data, NULL));

    const struct order *first = order_at(&packet, 0);
    assert_int_equal(ORDER_ENTRY, first->kind);
    assert_int_equal(7, first->nodeid);
    assert_int_equal(9, first->parent);
    assert_int_equal(3, first->generation);
    assert_int_equal(1, first->echo);
    assert_string_equal("name", first->name);
    assert_int_equal(0, first->n_bytes % 8);
    const struct order *second = order_at(&packet, first->n_bytes);
    assert_int_equal(ORDER_DATA, second->kind);
    assert_int_equal(8, second->nodeid);
    assert_int_equal(packet.n_bytes, first->n_bytes + second->n_bytes);
}

static void the_longest_name_is_kept_whole(void **state)
{
    static struct packet packet;
    char name[256];
    memset(name, 'n', sizeof(name) - 1);
    name[255] = '\0';
    packet.n_bytes = 0;
    assert_true(packet_add(&packet, &(struct order){.kind = ORDER_ENTRY, .nodeid = 1}, name));
    assert_string_equal(name, order_at(&packet, 0)->name);
    assert_true(packet.n_bytes >= sizeof(struct order) + 255);
}

static void a_full_packet_takes_no_more(void **state)
{
    static struct packet packet;
    size_t n = 0;
    packet.n_bytes = 0;
    while (packet_add(&packet, &(struct order){.kind = ORDER_ENTRY, .nodeid = n + 1}, "some name"))
        n++;
    assert_true(n > 100);
    assert_true(packet.n_bytes <= ORDERS_PACKET_BYTES);
    size_t at = 0, seen = 0;
    for (; at < packet.n_bytes; at += order_at(&packet, at)->n_bytes)
        assert_int_equal(++seen, order_at(&packet, at)->nodeid);
    assert_int_equal(n, seen);
    assert_int_equal(packet.n_bytes, at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_stand_one_behind_another),
        cmocka_unit_test(the_longest_name_is_kept_whole),
        cmocka_unit_test(a_full_packet_takes_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
