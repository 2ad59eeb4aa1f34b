#include "common/ipc/messages.h"

#include <string.h>

#include "common/base/must.h"

#define MSG_FROM(sender) MSG_FROM_##sender

struct msg_info {
    uint16_t id;
    const char *name;
    enum msg_sender from;
    size_t payload;
    unsigned states;
};

static const struct msg_info infos[] = {
#define MSG(id, name, sender, payload, states)                                           \
    { id, #name, MSG_FROM(sender), sizeof(payload), states },
#include "common/ipc/messages.def"
#undef MSG
};

static const struct msg_info *
info_of(uint16_t id)
{
    for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++)
        if (infos[i].id == id)
            return &infos[i];
    return NULL;
}

const char *
msg_name(uint16_t id)
{
    const struct msg_info *info = info_of(id);

    return info != NULL ? info->name : NULL;
}

void
msg_encode(struct buf *b, const struct msg *m)
{
    const struct msg_info *info = info_of(m->head.id);
    struct msg_head head = m->head;

    must(info != NULL);
    head.size = (uint32_t)(sizeof(head) + info->payload);
    must(head.size <= MSG_MAX);
    must(buf_add(b, &head, sizeof(head)) && buf_add(b, &m->u, info->payload));
}

int
msg_decode(const uint8_t *data, size_t n, enum msg_sender from, unsigned state,
    struct msg *m, size_t *used, struct err *e)
{
    const struct msg_info *info;

    if (n < sizeof(m->head))
        return err_set(e, ERR_AGAIN, "message is not complete");
    memset(m, 0, sizeof(*m));
    memcpy(&m->head, data, sizeof(m->head));
    info = info_of(m->head.id);
    if (info == NULL || info->from != from)
        return err_set(e, ERR_PROTOCOL, "unknown message %u", m->head.id);
    if (m->head.size != sizeof(m->head) + info->payload)
        return err_set(e, ERR_PROTOCOL, "message %s has %u bytes, expected %zu",
            info->name, m->head.size, sizeof(m->head) + info->payload);
    if ((info->states & state) == 0)
        return err_set(e, ERR_PROTOCOL, "message %s in state %u", info->name, state);
    if (n < m->head.size)
        return err_set(e, ERR_AGAIN, "message %s is not complete", info->name);
    memcpy(&m->u, data + sizeof(m->head), info->payload);
    if (m->head.id == MSG_DONE &&
        memchr(m->u.done.text, '\0', sizeof(m->u.done.text)) == NULL)
        return err_set(e, ERR_PROTOCOL, "message %s has text without end", info->name);
    *used = m->head.size;
    return 0;
}
