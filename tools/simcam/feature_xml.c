/* feature_xml.c - the GenApi description of a feature table.
 *
 * GenApi wants two nodes for most features: the feature itself, with range and tool tip, and the
 * register that holds its value ("WidthReg"). Registers are never cached: the camera may change
 * them by itself. Element order follows the GenApi 1.1 schema, which is strict about it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "feature.h"

static const char HEADER[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<RegisterDescription ModelName=\"simcam\" VendorName=\"Inspector\" "
    "StandardNameSpace=\"None\" SchemaMajorVersion=\"1\" SchemaMinorVersion=\"1\" "
    "SchemaSubMinorVersion=\"0\" MajorVersion=\"1\" MinorVersion=\"0\" SubMinorVersion=\"0\" "
    "ProductGuid=\"6a1d2f0e-3c1b-4c52-9a55-5e1c7a0d4b10\" "
    "VersionGuid=\"6a1d2f0e-3c1b-4c52-9a55-5e1c7a0d4b11\" "
    "xmlns=\"http://www.genicam.org/GenApi/Version_1_1\" "
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
    "xsi:schemaLocation=\"http://www.genicam.org/GenApi/Version_1_1 "
    "GenApiSchema_Version_1_1.xsd\">\n";

static const char *const ACCESS_NAMES[] = {[RO] = "RO", [RW] = "RW", [WO] = "WO"};

static void write_register(FILE *xml, const struct feature *row, const char *type,
                           const char *port_name)
{
    const char *suffix = row->kind == STRING ? "" : "Reg";
    fprintf(xml, "<%s Name=\"%s%s\">", type, row->name, suffix);
    if (row->kind == STRING)
        fprintf(xml, "<ToolTip>%s</ToolTip>", row->tip);
    fprintf(xml, "<Address>0x%" PRIx32 "</Address><Length>%" PRIu32 "</Length>",
            row->chunk_id ? 0 : row->address, feature_length(row));
    fprintf(xml, "<AccessMode>%s</AccessMode>", ACCESS_NAMES[row->access]);
    if (row->chunk_id)
        fprintf(xml, "<pPort>%sPort</pPort>", row->name);
    else
        fprintf(xml, "<pPort>%s</pPort>", port_name);
    fprintf(xml, "<Cachable>NoCache</Cachable>");
    if (row->kind != STRING && row->kind != FLOAT)
        fprintf(xml, "<Sign>Unsigned</Sign>");
    if (row->kind != STRING)
        fprintf(xml, "<Endianess>LittleEndian</Endianess>");
    fprintf(xml, "</%s>\n", type);
    if (row->chunk_id)
        fprintf(xml, "<Port Name=\"%sPort\"><ChunkID>%08" PRIX32 "</ChunkID></Port>\n", row->name,
                row->chunk_id);
}

static void open_node(FILE *xml, const struct feature *row, const char *type)
{
    fprintf(xml, "<%s Name=\"%s\"><ToolTip>%s</ToolTip>", type, row->name, row->tip);
    fprintf(xml, "<Visibility>%s</Visibility>", row->invisible ? "Invisible" : "Beginner");
    if (row->locked)
        fprintf(xml, "<pIsLocked>TLParamsLocked</pIsLocked>");
}

static void write_integer(FILE *xml, const struct feature *row, const char *port_name)
{
    open_node(xml, row, "Integer");
    fprintf(xml, "<pValue>%sReg</pValue><Min>%.0f</Min>", row->name, row->min);
    if (row->max_feature)
        fprintf(xml, "<pMax>%s</pMax>", row->max_feature);
    else if (row->max > 0)
        fprintf(xml, "<Max>%.0f</Max>", row->max);
    if (row->unit)
        fprintf(xml, "<Unit>%s</Unit>", row->unit);
    fprintf(xml, "</Integer>\n");
    write_register(xml, row, "IntReg", port_name);
}

static void write_float(FILE *xml, const struct feature *row, const char *port_name)
{
    open_node(xml, row, "Float");
    fprintf(xml, "<pValue>%sReg</pValue>", row->name);
    if (row->max > 0)
        fprintf(xml, "<Min>%g</Min><Max>%g</Max>", row->min, row->max);
    if (row->unit)
        fprintf(xml, "<Unit>%s</Unit>", row->unit);
    fprintf(xml, "</Float>\n");
    write_register(xml, row, "FloatReg", port_name);
}

static void write_enumeration(FILE *xml, const struct feature *row, const char *port_name)
{
    open_node(xml, row, "Enumeration");
    for (const struct entry *entry = row->entries; entry->name; entry++)
        fprintf(xml, "<EnumEntry Name=\"%s\"><Value>%" PRIu32 "</Value></EnumEntry>", entry->name,
                entry->value);
    fprintf(xml, "<pValue>%sReg</pValue>", row->name);
    if (row->selects)
        fprintf(xml, "<pSelected>%s</pSelected>", row->selects);
    fprintf(xml, "</Enumeration>\n");
    write_register(xml, row, "IntReg", port_name);
}

static void write_feature(FILE *xml, const struct feature *row, const char *port_name)
{
    switch (row->kind) {
    case INTEGER:
        write_integer(xml, row, port_name);
        break;
    case FLOAT:
        write_float(xml, row, port_name);
        break;
    case ENUMERATION:
        write_enumeration(xml, row, port_name);
        break;
    case BOOLEAN:
        open_node(xml, row, "Boolean");
        fprintf(xml, "<pValue>%sReg</pValue><OnValue>1</OnValue><OffValue>0</OffValue></Boolean>\n",
                row->name);
        write_register(xml, row, "IntReg", port_name);
        break;
    case COMMAND:
        open_node(xml, row, "Command");
        fprintf(xml, "<pValue>%sReg</pValue><CommandValue>1</CommandValue></Command>\n", row->name);
        write_register(xml, row, "IntReg", port_name);
        break;
    case STRING:
        write_register(xml, row, "StringReg", port_name);
        break;
    case CATEGORY:
    case FEATURE_END:
        break;
    }
}

static void write_categories(FILE *xml, const struct feature *rows)
{
    fprintf(xml, "<Category Name=\"Root\">");
    for (const struct feature *row = rows; row->kind != FEATURE_END; row++)
        if (row->kind == CATEGORY)
            fprintf(xml, "<pFeature>%s</pFeature>", row->name);
    fprintf(xml, "</Category>\n");
    for (const struct feature *row = rows; row->kind != FEATURE_END;) {
        fprintf(xml, "<Category Name=\"%s\"><ToolTip>%s</ToolTip>", row->name, row->tip);
        for (row++; row->kind != CATEGORY && row->kind != FEATURE_END; row++)
            fprintf(xml, "<pFeature>%s</pFeature>", row->name);
        fprintf(xml, "</Category>\n");
    }
}

char *feature_xml(const struct feature_map *map)
{
    char *text = NULL;
    size_t size = 0;
    FILE *xml = open_memstream(&text, &size);
    if (!xml)
        return NULL;
    fputs(HEADER, xml);
    write_categories(xml, map->features);
    for (const struct feature *row = map->features; row->kind != FEATURE_END; row++)
        write_feature(xml, row, map->port_name);
    fprintf(xml, "<Port Name=\"%s\"/>\n</RegisterDescription>\n", map->port_name);
    if (fclose(xml) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
