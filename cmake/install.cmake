# make install: program, shared library, header, man page, pkg-config file, CMake package. Where yyjson came from the private
# prefix (scripts/deps), its shared library goes along, beside ours, so that nothing outside PREFIX is needed.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(gemmaonnx SHARED $<TARGET_OBJECTS:gemmaonnx_objects>)
target_include_directories(gemmaonnx INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(gemmaonnx PRIVATE PkgConfig::YYJSON PkgConfig::CRYPTO PkgConfig::CURL Threads::Threads m ${CMAKE_DL_LIBS})
set_target_properties(gemmaonnx PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} INSTALL_RPATH "$ORIGIN")
set_target_properties(gemma-onnx PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

install(TARGETS gemma-onnx RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS gemmaonnx EXPORT gemma-onnx-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/gemma_onnx.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES docs/gemma-onnx.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

file(GLOB private_yyjson "${private_prefix}/lib/libyyjson.so*")
if(private_yyjson)
    install(FILES ${private_yyjson} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

configure_file(cmake/gemma-onnx.pc.in gemma-onnx.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/gemma-onnx.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gemma-onnx)
install(EXPORT gemma-onnx-targets NAMESPACE gemma-onnx:: DESTINATION ${package_dir})
configure_package_config_file(cmake/gemma-onnx-config.cmake.in gemma-onnx-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(gemma-onnx-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/gemma-onnx-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/gemma-onnx-config-version.cmake"
        DESTINATION ${package_dir})
