# Debian packages: cmake -G Ninja -B build && cmake --build build && (cd build && cpack -G DEB)
#   rpicluster-slave     what a node needs
#   rpicluster           master, command, demo; and a slave, by dependency
#   python3-rpicluster   the module for Python

include(GNUInstallDirs)
set(units lib/systemd/system)
set(here ${CMAKE_CURRENT_LIST_DIR})

install(TARGETS rpicluster-slave rpicluster-runner RUNTIME DESTINATION bin COMPONENT slave)
install(TARGETS rpicluster-master rpicluster rpicluster-render RUNTIME DESTINATION bin
  COMPONENT cluster)
install(FILES etc/rpicluster-slave.service etc/rpicluster-runner.service
  etc/rpicluster-webserver.service DESTINATION ${units} COMPONENT slave)
install(FILES etc/rpicluster-master.service DESTINATION ${units} COMPONENT cluster)
install(FILES etc/rpicluster.cfg DESTINATION /etc/rpicluster COMPONENT slave)
install(FILES etc/rpicluster.cron DESTINATION share/doc/rpicluster-slave/examples COMPONENT slave)
install(FILES README.md docs/guarantees.md docs/operations.md docs/security.md docs/protocol.md
  DESTINATION share/doc/rpicluster COMPONENT cluster)
install(FILES ${here}/completion.bash DESTINATION share/bash-completion/completions
  RENAME rpicluster COMPONENT cluster)
install(FILES python/rpicluster.py DESTINATION lib/python3/dist-packages COMPONENT python)
install(DIRECTORY python/_rpicluster DESTINATION lib/python3/dist-packages COMPONENT python
  FILES_MATCHING PATTERN "*.py" PATTERN "__pycache__" EXCLUDE)
install(FILES docs/python.md DESTINATION share/doc/python3-rpicluster COMPONENT python)
install(FILES examples/python/render.py examples/python/sweep.py
  DESTINATION share/doc/python3-rpicluster/examples COMPONENT python)

# What Debian wants of every package: manual pages, changelog and copyright, compressed.
find_program(GZIP gzip REQUIRED)
function(install_compressed source folder name component)
  set(result ${CMAKE_BINARY_DIR}/packaging/${component}/${name}.gz)
  add_custom_command(OUTPUT ${result}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/packaging/${component}
    COMMAND ${GZIP} -9nc ${source} > ${result} DEPENDS ${source} VERBATIM)
  set_property(GLOBAL APPEND PROPERTY RPIC_COMPRESSED ${result})
  install(FILES ${result} DESTINATION ${folder} COMPONENT ${component})
endfunction()
install_compressed(${CMAKE_SOURCE_DIR}/docs/man/rpicluster.1 share/man/man1 rpicluster.1 cluster)
install_compressed(${CMAKE_SOURCE_DIR}/docs/man/rpicluster-render.1 share/man/man1
  rpicluster-render.1 cluster)
install_compressed(${CMAKE_SOURCE_DIR}/docs/man/rpicluster-master.8 share/man/man8
  rpicluster-master.8 cluster)
install_compressed(${CMAKE_SOURCE_DIR}/docs/man/rpicluster-slave.8 share/man/man8
  rpicluster-slave.8 slave)
install_compressed(${CMAKE_SOURCE_DIR}/docs/man/rpicluster-runner.8 share/man/man8
  rpicluster-runner.8 slave)
string(TIMESTAMP today "%a, %d %b %Y 00:00:00 +0000" UTC)
foreach(pair slave:rpicluster-slave cluster:rpicluster python:python3-rpicluster)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 package)
  configure_file(${here}/changelog.in packaging/${component}/changelog @ONLY)
  install_compressed(${CMAKE_BINARY_DIR}/packaging/${component}/changelog share/doc/${package}
    changelog ${component})
  install(FILES ${here}/copyright DESTINATION share/doc/${package} COMPONENT ${component})
endforeach()
get_property(compressed GLOBAL PROPERTY RPIC_COMPRESSED)
add_custom_target(rpicluster-package-files ALL DEPENDS ${compressed})

# What lintian would call a mistake, and is none.
function(install_overrides package component programs why)
  configure_file(${here}/overrides.in packaging/${component}/overrides @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/packaging/${component}/overrides
    DESTINATION share/lintian/overrides RENAME ${package} COMPONENT ${component})
endfunction()
if(RPIC_STATIC)
  set(why "They run on systems whose libraries are of another kind.")
  install_overrides(rpicluster-slave slave usr/bin/* "${why}")
  install_overrides(rpicluster cluster usr/bin/* "${why}")
else()
  install_overrides(rpicluster cluster usr/bin/rpicluster-render
    "It travels to nodes on which nothing is installed.")
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME rpicluster)
set(CPACK_PACKAGE_CONTACT "The rpicluster developers <rpicluster@users.noreply.github.com>")
set(CPACK_PACKAGE_VENDOR rpicluster)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL slave cluster python)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
  GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES OFF)  # the linker has done it

# By the compiler, which knows what it builds for.
set(debian_architectures x86_64-linux-gnu:amd64 aarch64-linux-gnu:arm64 arm-linux-gnueabihf:armhf
  arm-linux-gnueabi:armel i386-linux-gnu:i386)
foreach(pair ${debian_architectures})
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 triplet)
  if(CMAKE_CXX_LIBRARY_ARCHITECTURE STREQUAL triplet)
    list(GET pair 1 CPACK_DEBIAN_PACKAGE_ARCHITECTURE)
  endif()
endforeach()

# Written by hand: for another architecture dpkg-shlibdeps finds nothing, and CPack says nothing.
set(libraries "libc6 (>= 2.35), libssl3 (>= 3.0.0), ")
set(database "libsqlite3-0 (>= 3.37.0), ")
if(RPIC_STATIC)
  set(libraries "")
  set(database "")
endif()
# Whoever depends on the programs does not care whose processor they are for: on a Pi 1 the system
# is armhf, and they are armel.
set(CPACK_DEBIAN_SLAVE_PACKAGE_MULTIARCH foreign)
set(CPACK_DEBIAN_CLUSTER_PACKAGE_MULTIARCH foreign)
set(CPACK_DEBIAN_SLAVE_PACKAGE_NAME rpicluster-slave)
set(CPACK_DEBIAN_SLAVE_PACKAGE_DEPENDS "${libraries}adduser")
set(CPACK_DEBIAN_SLAVE_PACKAGE_SECTION net)
set(CPACK_DEBIAN_SLAVE_PACKAGE_CONTROL_EXTRA ${here}/slave/preinst ${here}/slave/postinst
  ${here}/slave/prerm ${here}/slave/postrm ${here}/slave/conffiles)
set(CPACK_COMPONENT_SLAVE_DESCRIPTION "node of a cluster of small boards
rpicluster joins Raspberry Pis, other small boards and PCs into one cluster,
shows what each of them is and how it feels, and runs any command on the
node that suits it, with its files.

This package makes a machine a node, or the one that shows the cluster in a
browser.")
set(CPACK_DEBIAN_CLUSTER_PACKAGE_NAME rpicluster)
set(CPACK_DEBIAN_CLUSTER_PACKAGE_DEPENDS
  "${libraries}${database}rpicluster-slave (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_CLUSTER_PACKAGE_SUGGESTS "python3-rpicluster")
set(CPACK_DEBIAN_CLUSTER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_CLUSTER_PACKAGE_CONTROL_EXTRA ${here}/cluster/preinst
  ${here}/cluster/postinst ${here}/cluster/prerm ${here}/cluster/postrm)
set(CPACK_COMPONENT_CLUSTER_DESCRIPTION "cluster of small boards: master and command
rpicluster joins Raspberry Pis, other small boards and PCs into one cluster,
shows what each of them is and how it feels, and runs any command on the
node that suits it, with its files.

This package has the master, the command rpicluster and, by dependency, what
makes a machine a node.")
set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-rpicluster)
set(CPACK_DEBIAN_PYTHON_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3 (>= 3.9), rpicluster (>= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA ${here}/python/postinst ${here}/python/prerm)
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "Python functions and programs on a cluster of boards
The module rpicluster has a concurrent.futures.Executor whose calls run on the
nodes of a cluster, and runs programs there, with their files.")
include(CPack)
