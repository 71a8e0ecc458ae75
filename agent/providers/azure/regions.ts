/** Regions of IoT Hub (Azure products by region), only for hints: Azure opens regions after a release. */
export const AZURE_REGIONS: readonly string[] = `
  australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral
  brazilsouth brazilsoutheast canadacentral canadaeast centralindia centralus chilecentral chinaeast
  chinaeast2 chinanorth chinanorth2 chinanorth3 eastasia eastus eastus2 francecentral francesouth
  germanynorth germanywestcentral indonesiacentral israelcentral italynorth japaneast japanwest
  jioindiacentral jioindiawest koreacentral koreasouth malaysiawest mexicocentral newzealandnorth
  northcentralus northeurope norwayeast norwaywest polandcentral qatarcentral southafricanorth
  southafricawest southcentralus southeastasia southindia spaincentral swedencentral swedensouth
  switzerlandnorth switzerlandwest uaecentral uaenorth uksouth ukwest usgovarizona usgovtexas
  usgovvirginia westcentralus westeurope westindia westus westus2 westus3
`
  .trim()
  .split(/\s+/);
