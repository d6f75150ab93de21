/* will.c - wills: a message and how long it waits. */
#include "state/will.h"

struct midge_will *midge_will_new(struct midge_mem *mem, struct midge_msg *msg, uint32_t delay_s)
{
    struct midge_will *w = midge_mem_alloc(mem, sizeof *w, MIDGE_TAG_SESSION);
    if (!w) {
        midge_msg_drop(mem, msg);
        return NULL;
    }
    *w = (struct midge_will){ .msg = msg, .delay_s = delay_s };
    return w;
}

void midge_will_free(struct midge_mem *mem, struct midge_will *w)
{
    if (w)
        midge_msg_drop(mem, midge_will_take(mem, w));
}

struct midge_msg *midge_will_take(struct midge_mem *mem, struct midge_will *w)
{
    struct midge_msg *msg = w->msg;
    midge_mem_free(mem, w, sizeof *w, MIDGE_TAG_SESSION);
    return msg;
}
