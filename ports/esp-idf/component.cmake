# component.cmake - the ESP-IDF component: the core by its one file list, the port, the drop-in headers.
set(root "${CMAKE_CURRENT_LIST_DIR}/../..")
set(port "${CMAKE_CURRENT_LIST_DIR}")

include("${root}/cmake/sources.cmake")
set(core ${MIDGE_BASE_SOURCES} ${MIDGE_CODEC_SOURCES} ${MIDGE_STATE_SOURCES} ${MIDGE_BROKER_SOURCES})
list(TRANSFORM core PREPEND "${root}/")

set(layers net/layer.c net/sha1.c net/ws.c net/ws_upgrade.c net/tls_layer.c net/tls_mbedtls.c)
list(TRANSFORM layers PREPEND "${root}/")
list(APPEND layers "${port}/tls.c")

idf_component_register(
    SRCS ${core}
         "${root}/plug/topics.c"
         "${port}/accounts.c" "${port}/link.c" "${port}/listen.c" "${port}/loop.c" "${port}/memory.c" "${port}/mosq_broker.c"
         "${port}/nvs_store.c" "${port}/password.c" "${port}/postbox.c" "${port}/report.c" "${port}/sock.c"
         ${layers} "${port}/wake.c"
    INCLUDE_DIRS "${root}/include" "${root}/ports/compat/include" "${port}/include"
    PRIV_INCLUDE_DIRS "${root}" "${root}/src"
    REQUIRES esp-tls
    PRIV_REQUIRES esp_event esp_hw_support heap log lwip mbedtls nvs_flash vfs
)

# The core never sees sdkconfig.h: what Kconfig has of its switches becomes a header of its own.
if(NOT CMAKE_BUILD_EARLY_EXPANSION)
    set(switches "/* Written from Kconfig. */\n")
    foreach(switch V5 RETAIN WILL PERSIST SHARED ALIAS_OUT AUTH REASON_STRINGS LOCAL BOOKS STATS LOGIN_LATER PAUSE
                   DURABLE RETAIN_SEEK OWN_LIMITS BRIDGE)
        if(CONFIG_MIDGE_${switch})
            string(APPEND switches "#define MIDGE_${switch} 1\n")
        else()
            string(APPEND switches "#define MIDGE_${switch} 0\n")
        endif()
    endforeach()
    if(CONFIG_MOSQ_ENABLE_SYS)
        string(APPEND switches "#define MIDGE_SYS 1\n")
    else()
        string(APPEND switches "#define MIDGE_SYS 0\n")
    endif()
    string(APPEND switches "#define MIDGE_TLS_PIECE 1024\n") # of the task's stack
    string(APPEND switches "#define MIDGE_MAX_QOS ${CONFIG_MIDGE_MAX_QOS}\n")
    file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/config/midge_kconfig.h" CONTENT "${switches}" @ONLY)
    target_include_directories(${COMPONENT_LIB} PUBLIC "${CMAKE_CURRENT_BINARY_DIR}/config")
    target_compile_definitions(${COMPONENT_LIB} PUBLIC "MIDGE_USER_CONFIG=\"midge_kconfig.h\"")
endif()
