// Reading of the stand-in's flash in C, as esp32_partition.c does it: what is counted of a read is MicroPython's
// call and a copy, without the driver behind esp_partition_read.
#include <string.h>
#include "py/runtime.h"

#define SECTOR (4096)

typedef struct {
    mp_obj_base_t base;
    uint8_t *start;
    mp_uint_t size;
} region_t;

// Region(address, size): a piece of memory that is read by blocks.
static mp_obj_t region_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    region_t *self = mp_obj_malloc(region_t, type);
    self->start = (uint8_t *)(uintptr_t)mp_obj_get_int_truncated(args[0]);
    self->size = mp_obj_get_int(args[1]);
    return MP_OBJ_FROM_PTR(self);
}

// readblocks(block, buf, offset=0)
static mp_obj_t region_readblocks(size_t n_args, const mp_obj_t *args) {
    region_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_buffer_info_t buf;
    mp_get_buffer_raise(args[2], &buf, MP_BUFFER_WRITE);
    mp_int_t at = mp_obj_get_int(args[1]) * SECTOR + (n_args > 3 ? mp_obj_get_int(args[3]) : 0);
    if (at < 0 || (mp_uint_t)at > self->size || buf.len > self->size - at) {
        mp_raise_OSError(-0x104); // ESP_ERR_INVALID_SIZE
    }
    memcpy(buf.buf, self->start + at, buf.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(region_readblocks_obj, 3, 4, region_readblocks);

static const mp_rom_map_elem_t region_table[] = {
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&region_readblocks_obj) },
};
static MP_DEFINE_CONST_DICT(region_dict, region_table);

MP_DEFINE_CONST_OBJ_TYPE(
    region_type, MP_QSTR_Region, MP_TYPE_FLAG_NONE,
    make_new, region_make_new,
    locals_dict, &region_dict
    );

static const mp_rom_map_elem_t flash_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_flash) },
    { MP_ROM_QSTR(MP_QSTR_Region), MP_ROM_PTR(&region_type) },
};
static MP_DEFINE_CONST_DICT(flash_dict, flash_table);

const mp_obj_module_t flash_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&flash_dict,
};
MP_REGISTER_MODULE(MP_QSTR_flash, flash_module);
