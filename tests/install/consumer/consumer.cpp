/* consumer.cpp - each public header, from C++. */
#include <midge/midge.h>
#include <midge/midge_client.h>
#include <midge/midge_store.h>
#include <mosq_broker.h>

int main()
{
    midge_publication p = {};
    p.qos = 1;
    return p.retain ? 1 : 0;
}
