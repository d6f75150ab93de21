# install.cmake - headers, library, program, licence, and the two ways to find them: CMake and pkg-config.
include(CMakePackageConfigHelpers)

set(libraries midge midge_compat)
if(MIDGE_POSIX)
    list(APPEND libraries midge_tls)
endif()
install(TARGETS ${libraries} EXPORT midge-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/midge DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ports/compat/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/midge-compat
    FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(MIDGE_POSIX)
    install(TARGETS midge_program midge-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# find_package(midge) brings midge::midge, midge::tls and midge::compat.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/midge)
install(EXPORT midge-targets NAMESPACE midge:: DESTINATION ${package_dir})
configure_package_config_file(cmake/midge-config.cmake.in midge-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(midge-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/midge-config.cmake ${PROJECT_BINARY_DIR}/midge-config-version.cmake
    DESTINATION ${package_dir})

# pkg-config: midge, midge-tls for TLS listeners, midge-compat for mosq_broker.h. Paths are relative to the .pc file, so that the
# installed tree may be moved.
file(RELATIVE_PATH pc_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
if(MIDGE_USER_CONFIG)
    set(pc_definitions " -DMIDGE_USER_CONFIG='\"${MIDGE_USER_CONFIG}\"'")
endif()
if(MIDGE_POSIX)
    set(pc_threads " -pthread")
endif()
set(pcs midge midge-compat)
if(MIDGE_POSIX)
    list(APPEND pcs midge-tls)
    set(pc_compat_requires "midge-tls")
    set(pc_compat_libs "-L\${libdir} -lmidge-compat")
    if(MIDGE_OPENSSL)
        set(pc_tls_requires ", openssl >= 3.0")
    endif()
else()
    set(pc_compat_requires "midge")
endif()
foreach(pc ${pcs})
    configure_file(cmake/${pc}.pc.in ${pc}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
